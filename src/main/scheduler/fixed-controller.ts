/** A controller that keeps the setting it began with. Refuses to look at anything. */
import type { Decision, SchedulerController, Setting } from '../../engine/scheduler/api.js';

export class FixedController implements SchedulerController {
  readonly setting: Setting;
  readonly decisions: readonly Decision[] = [];

  constructor(setting: Setting) {
    this.setting = setting;
  }

  step(): Setting {
    return this.setting;
  }
}
