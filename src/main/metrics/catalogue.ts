/**
 * Every metric of a mount in one table: name, type, unit, labels, meaning, and how it is made of a MountSnapshot. What is
 * exported (Prometheus, OTLP), docs/METRICS.md and the dashboard are all checked against it.
 *
 * Names: `mount_s3x_*`, base units (seconds, bytes), counters end in `_total`; `process_*` as every Prometheus client has them.
 * Bounds: labels take values from fixed lists (operations, parts of memory, ...) and the numbers of net threads; keys, paths,
 * buckets and users are never labels, but for one row that names the mount. So the number of series does not grow.
 * Refuses to keep anything: counters are the program's own, and begin again at 0 in a daemon that takes over.
 */
import type { HistogramState } from '../../base/latency-histogram.js';
import { STORE_OPERATIONS, STORE_OUTCOMES } from '../../engine/net/request-ledger.js';
import type { MountSnapshot } from '../stats/snapshot.js';

export type MetricType = 'counter' | 'gauge' | 'histogram';

/** `stable`: name, unit and labels stay; `experimental`: may change with a line in the change log. */
export type Stability = 'stable' | 'experimental';

export type Labels = Readonly<Record<string, string>>;

/** One series; `value` of a histogram's is its state. */
export interface Series<V> {
  readonly labels: Labels;
  readonly value: V;
}

interface Described {
  readonly name: string;
  /** Of values, in UCUM as OpenTelemetry has it: `s`, `By`, `1`, `{request}`. */
  readonly unit: string;
  /** Names of labels, in their order. */
  readonly labels: readonly string[];
  readonly stability: Stability;
  readonly help: string;
}

export interface NumberMetric extends Described {
  readonly type: 'counter' | 'gauge';
  of(snapshot: MountSnapshot): readonly Series<number>[];
}

export interface HistogramMetric extends Described {
  readonly type: 'histogram';
  of(snapshot: MountSnapshot): readonly Series<HistogramState>[];
}

export type Metric = NumberMetric | HistogramMetric;

type Number1 = (snapshot: MountSnapshot) => number | null;

const NO_LABELS: readonly string[] = [];

function counter(name: string, unit: string, help: string, value: Number1): NumberMetric {
  return { ...single(name, unit, help, value), type: 'counter' };
}

function gauge(name: string, unit: string, help: string, value: Number1): NumberMetric {
  return { ...single(name, unit, help, value), type: 'gauge' };
}

/** A metric without labels; null: there is nothing to say. */
function single(name: string, unit: string, help: string, value: Number1): Omit<NumberMetric, 'type'> {
  return {
    ...{ name, unit, labels: NO_LABELS, stability: 'stable', help },
    of: (snapshot) => {
      const now = value(snapshot);
      return now === null ? [] : [{ labels: {}, value: now }];
    },
  };
}

/** One series for each value of one label. */
function byLabel(
  type: 'counter' | 'gauge',
  name: string,
  unit: string,
  label: string,
  help: string,
  values: (snapshot: MountSnapshot) => Readonly<Record<string, number | null>>,
): NumberMetric {
  return {
    ...{ name, type, unit, labels: [label], stability: 'stable', help },
    of: (snapshot) =>
      Object.entries(values(snapshot)).flatMap(([at, value]) =>
        value === null ? [] : [{ labels: { [label]: at }, value }],
      ),
  };
}

function experimental<M extends Metric>(metric: M): M {
  return { ...metric, stability: 'experimental' };
}

function histogramsBy(
  name: string,
  label: string,
  help: string,
  states: (snapshot: MountSnapshot) => Readonly<Record<string, HistogramState | undefined>>,
): HistogramMetric {
  return {
    ...{ name, type: 'histogram', unit: 's', labels: [label], stability: 'stable', help },
    of: (snapshot) =>
      Object.entries(states(snapshot)).flatMap(([at, value]) =>
        value === undefined ? [] : [{ labels: { [label]: at }, value }],
      ),
  };
}

const mountMetrics: readonly Metric[] = [
  {
    name: 'mount_s3x_info',
    type: 'gauge',
    unit: '1',
    labels: ['mount_point', 'source', 'version', 'read_only'],
    stability: 'stable',
    help: 'Which mount this is; always 1',
    of: ({ mount }) => [
      {
        labels: {
          mount_point: mount.mountPoint,
          source: mount.source,
          version: mount.version,
          read_only: String(mount.isReadOnly),
        },
        value: 1,
      },
    ],
  },
  gauge(
    'mount_s3x_start_time_seconds',
    's',
    'When this daemon began to answer, Unix time',
    ({ wallMs, mount }) => (wallMs - mount.upMs) / 1000,
  ),
  counter(
    'mount_s3x_takeovers_total',
    '{takeover}',
    'Daemons that took over from one that crashed or was upgraded',
    ({ mount }) => mount.generation,
  ),
];

const kernelMetrics: readonly Metric[] = [
  byLabel(
    'counter',
    'mount_s3x_kernel_requests_total',
    '{request}',
    'kind',
    'Requests of the kernel by kind; READ counts those that reader threads answered, too',
    ({ requests, reads }) => {
      const { READ = 0, ...others } = requests;
      return { ...lowerCase(others), read: READ + reads.fromPool };
    },
  ),
  gauge(
    'mount_s3x_kernel_requests_in_flight',
    '{request}',
    'Requests of the kernel without an answer',
    ({ waiting }) => waiting.kernelRequests,
  ),
  counter(
    'mount_s3x_kernel_request_errors_total',
    '{request}',
    'Requests answered with an error; many are ordinary (ENOENT of a look-up)',
    ({ requestErrors }) => requestErrors,
  ),
  histogramsBy(
    'mount_s3x_kernel_request_duration_seconds',
    'kind',
    'From the moment the main thread has a request until it is answered; without READs that reader threads answered',
    ({ requestTook }) => lowerCase(requestTook),
  ),
  {
    name: 'mount_s3x_memory_read_duration_seconds',
    type: 'histogram',
    unit: 's',
    labels: [],
    stability: 'stable',
    help: 'READs that reader threads answered from memory: every 64th of them is timed and counted',
    of: ({ reads }) => [{ labels: {}, value: reads.fromPoolTook }],
  },
  byLabel(
    'counter',
    'mount_s3x_reads_total',
    '{request}',
    'tier',
    'READs by who had the bytes: memory (reader threads answered at once) or store (came to the main thread, most waited)',
    ({ reads }) => ({ memory: reads.fromPool, store: reads.placed }),
  ),
  byLabel(
    'counter',
    'mount_s3x_read_bytes_total',
    'By',
    'tier',
    "What programs read, by tier; without what the kernel's page cache answered",
    ({ reads }) => ({ memory: reads.fromPoolBytes, store: reads.placedBytes }),
  ),
  counter('mount_s3x_write_bytes_total', 'By', 'What programs wrote', ({ writes }) => writes.bytes),
];

const storeMetrics: readonly Metric[] = [
  {
    name: 'mount_s3x_s3_requests_total',
    type: 'counter',
    unit: '{request}',
    labels: ['operation', 'outcome'],
    stability: 'stable',
    help: 'Attempts at the store, repetitions and hedges included, by what they do and how they ended',
    of: ({ store }) =>
      STORE_OPERATIONS.flatMap((operation) =>
        STORE_OUTCOMES.flatMap((outcome) => {
          const value = store.requests[operation]?.[outcome];
          return value === undefined ? [] : [{ labels: { operation, outcome }, value }];
        }),
      ),
  },
  histogramsBy(
    'mount_s3x_s3_request_duration_seconds',
    'operation',
    'From the beginning of an attempt to the end of its good answer',
    ({ store }) => store.durations,
  ),
  experimental(
    byLabel(
      'gauge',
      'mount_s3x_s3_first_byte_seconds',
      's',
      'quantile',
      'From a GET to the first byte of its answer, of the last few thousand',
      ({ network: { firstByteMs } }) =>
        firstByteMs === null
          ? {}
          : { '0.5': firstByteMs.p50 / 1000, '0.95': firstByteMs.p95 / 1000, '0.99': firstByteMs.p99 / 1000 },
    ),
  ),
  counter(
    'mount_s3x_s3_received_bytes_total',
    'By',
    'Payload that came from the store',
    ({ network }) => network.bytesIn,
  ),
  counter('mount_s3x_s3_sent_bytes_total', 'By', 'Payload that went to the store', ({ network }) => network.bytesOut),
  counter(
    'mount_s3x_s3_retries_total',
    '{request}',
    'Attempts that failed and were made again, without SlowDown',
    ({ network }) => network.retries,
  ),
  counter(
    'mount_s3x_s3_slow_downs_total',
    '{request}',
    'Answers that asked for fewer requests (503, 429)',
    ({ network }) => network.slowDowns,
  ),
  counter(
    'mount_s3x_s3_hedges_total',
    '{request}',
    'Second requests beside a late first one',
    ({ network }) => network.hedges,
  ),
  counter(
    'mount_s3x_s3_hedges_won_total',
    '{request}',
    'Second requests that were quicker',
    ({ network }) => network.hedgesWon,
  ),
  counter(
    'mount_s3x_s3_resumed_total',
    '{request}',
    'Stalled answers whose rest was asked for elsewhere',
    ({ network }) => network.resumed,
  ),
  byLabel(
    'gauge',
    'mount_s3x_s3_connections',
    '{connection}',
    'state',
    'Connections to the store: busy with a request, or idle (opening ones included)',
    ({ network }) => ({ busy: network.busy, idle: Math.max(0, network.connections - network.busy) }),
  ),
  {
    name: 'mount_s3x_s3_requests_under_way',
    type: 'gauge',
    unit: '{request}',
    labels: ['kind', 'phase'],
    stability: 'experimental',
    help: 'Requests to the store that are not over, by what they are and what they wait for',
    of: ({ waiting: { fetches, lists, calls } }) =>
      Object.entries({ fetch: fetches, list: lists, call: calls }).flatMap(([kind, phases]) => [
        { labels: { kind, phase: 'in_line' }, value: phases.inLine },
        { labels: { kind, phase: 'paced' }, value: phases.paced },
        { labels: { kind, phase: 'transfer' }, value: phases.transfer },
        { labels: { kind, phase: 'backoff' }, value: phases.backoff },
        { labels: { kind, phase: 'credentials' }, value: phases.credentials },
      ]),
  },
  {
    name: 'mount_s3x_s3_request_cost_total',
    type: 'counter',
    unit: '{currency}',
    labels: ['currency'],
    stability: 'experimental',
    help: 'What the requests cost, about, at list prices; no storage, transfer, KMS or per-GB fees',
    of: ({ store: { cost } }) => [{ labels: { currency: cost.currency }, value: cost.total }],
  },
];

const schedulerMetrics: readonly Metric[] = [
  gauge(
    'mount_s3x_scheduler_connections',
    '{connection}',
    'Connections that the scheduler allows',
    ({ network }) => network.setting.connections,
  ),
  gauge(
    'mount_s3x_scheduler_part_bytes',
    'By',
    'Bytes of one GET of a stream',
    ({ network }) => network.setting.partBytes,
  ),
  gauge(
    'mount_s3x_scheduler_net_threads',
    '{thread}',
    'Net threads that get new work',
    ({ network }) => network.setting.netThreads,
  ),
  byLabel(
    'gauge',
    'mount_s3x_net_thread_busy_ratio',
    '1',
    'thread',
    'Share of the last interval that the loop of a net thread was busy; 0 for one that rests',
    ({ network }) => Object.fromEntries(network.threadsBusy.map((share, thread) => [String(thread), share ?? 0])),
  ),
  gauge(
    'mount_s3x_host_mounts',
    '{mount}',
    'Mounts of this host that share network and memory, this one included',
    ({ host }) => host.others.length + 1,
  ),
  gauge(
    'mount_s3x_host_network_share_ratio',
    '1',
    'Part of the network that this mount has among them',
    ({ host }) => host.networkShare,
  ),
];

const memoryMetrics: readonly Metric[] = [
  gauge('mount_s3x_memory_target_bytes', 'By', 'What it may have', ({ memory }) => memory.targetBytes),
  gauge('mount_s3x_memory_resident_bytes', 'By', 'What it has', ({ memory }) => memory.residentBytes),
  gauge('mount_s3x_memory_resident_peak_bytes', 'By', 'The most it ever had', ({ memory }) => memory.peakBytes),
  byLabel(
    'gauge',
    'mount_s3x_memory_bytes',
    'By',
    'part',
    'Where memory is: parts of the pool (held for readers, arriving, with writers, free), heaps, listings, nodes',
    ({ memory: { pool, heaps, listingsBytes, nodesBytes } }) => ({
      pool_held: pool.residentBytes,
      pool_arriving: pool.fillingBytes,
      pool_writers: pool.writersBytes,
      pool_free: pool.idleBytes,
      heap_main: heaps.mainBytes,
      heap_net: heaps.netBytes,
      listings: listingsBytes,
      nodes: nodesBytes,
    }),
  ),
  gauge('mount_s3x_pool_limit_bytes', 'By', 'What the pool may touch now', ({ memory }) => memory.pool.usableBytes),
  gauge(
    'mount_s3x_pool_pinned_bytes',
    'By',
    'Of the pool, in the hands of READs at this moment',
    ({ memory }) => memory.pool.pinnedBytes,
  ),
];

const fileMetrics: readonly Metric[] = [
  byLabel(
    'gauge',
    'mount_s3x_waiting',
    '{request}',
    'for',
    'Who waits: READs for their bytes, READs for room in the pool, writers for room',
    ({ waiting }) => ({
      read_bytes: waiting.readsForBytes,
      read_room: waiting.readsForRoom,
      write_room: waiting.writersForRoom,
    }),
  ),
  byLabel('gauge', 'mount_s3x_open_handles', '{handle}', 'type', 'Open files and directories', ({ names }) => ({
    file: names.openFiles,
    directory: names.openDirectories,
  })),
  gauge('mount_s3x_nodes', '{node}', 'Names that the kernel knows', ({ names }) => names.nodes),
  byLabel(
    'counter',
    'mount_s3x_lookups_total',
    '{request}',
    'result',
    'Look-ups that what is cached answered (hit), and those that asked the store (miss)',
    ({ names }) => ({ hit: names.lookupHits, miss: names.lookupMisses }),
  ),
  counter(
    'mount_s3x_list_pages_total',
    '{page}',
    'Pages of listings that were fetched',
    ({ names }) => names.listPages,
  ),
  counter(
    'mount_s3x_stale_total',
    '{request}',
    'Opens and READs that found their version replaced or gone',
    ({ names }) => names.stale,
  ),
  byLabel(
    'counter',
    'mount_s3x_fetched_ahead_files_total',
    '{file}',
    'state',
    'Small files fetched before they were opened: all (fetched), and those that then were opened (used)',
    ({ names }) => ({ fetched: names.fetchedAhead, used: names.fetchedAheadUsed }),
  ),
  byLabel(
    'gauge',
    'mount_s3x_writing_files',
    '{file}',
    'state',
    'Files open for writing or not in the bucket as they are (open), and those with changes (dirty)',
    ({ writes }) => ({ open: writes.files, dirty: writes.dirtyFiles }),
  ),
  gauge('mount_s3x_uploads_open', '{upload}', 'Multipart uploads that are open', ({ writes }) => writes.openUploads),
  gauge('mount_s3x_upload_parts_in_flight', '{part}', 'Parts on their way', ({ writes }) => writes.partsSending),
  gauge(
    'mount_s3x_spool_bytes',
    'By',
    "What the spool's directory takes of its disk, left-overs included; absent on a read-only mount",
    ({ writes }) => writes.spool?.bytes ?? null,
  ),
  gauge('mount_s3x_spool_files', '{file}', 'Files in it', ({ writes }) => writes.spool?.files ?? null),
];

/** Names and meanings that every Prometheus client has. */
const processMetrics: readonly Metric[] = [
  counter(
    'process_cpu_seconds_total',
    's',
    'User and system time of the daemon',
    ({ process }) => (process.cpuUserMs + process.cpuSystemMs) / 1000,
  ),
  counter('process_cpu_user_seconds_total', 's', 'User time', ({ process }) => process.cpuUserMs / 1000),
  counter('process_cpu_system_seconds_total', 's', 'System time', ({ process }) => process.cpuSystemMs / 1000),
  gauge('process_start_time_seconds', 's', 'When the daemon was started, Unix time', ({ process }) =>
    Math.round(process.startedWallMs / 1000),
  ),
  gauge('process_resident_memory_bytes', 'By', 'Resident memory', ({ process }) => process.residentBytes),
  gauge('process_open_fds', '{file}', 'Open descriptors', ({ process }) => process.openFiles),
  gauge('process_max_fds', '{file}', 'Most of them', ({ process }) => process.openFilesMax),
  experimental(
    gauge('mount_s3x_process_threads', '{thread}', 'Threads of the daemon', ({ process }) => process.threads),
  ),
];

export const METRICS: readonly Metric[] = [
  ...mountMetrics,
  ...kernelMetrics,
  ...storeMetrics,
  ...schedulerMetrics,
  ...memoryMetrics,
  ...fileMetrics,
  ...processMetrics,
];

function lowerCase<V>(byName: Readonly<Record<string, V>>): Record<string, V> {
  return Object.fromEntries(Object.entries(byName).map(([name, value]) => [name.toLowerCase(), value]));
}
