/** Names that a breakable daemon dies of when they are looked up; see breakable-daemon.ts. */
export const POISON_NOW = 'poison-now';
export const POISON_PROMISE = 'poison-promise';
export const POISON_LATER = 'poison-later';
