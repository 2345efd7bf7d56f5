import { AntiphonError, type Metrics } from '@antiphon/ports'
import { invalidSettings, messageOf } from './errors.ts'

/** What a replica measures; each is touched once a batch, never once an entry. They do not throw. */
export interface Meters {
  readonly entriesProposed: { add(value: number): void }
  readonly entriesApplied: { add(value: number): void }
  readonly batchEntries: { observe(value: number): void }
  readonly writeMs: { observe(value: number): void }
  readonly writeWorstMs: { set(value: number): void }
  readonly slowFlushes: { add(value: number): void }
  readonly queueBytes: { set(value: number): void }
  readonly quarantines: { add(value: number): void }
  readonly active: { set(value: number): void }
  readonly epoch: { set(value: number): void }
  readonly clockAheadMs: { set(value: number): void }
}

/**
 * What `metrics` throws later loses that one value; `trouble` is told of the first of each figure.
 * @throws AntiphonError INVALID_SETTINGS when it throws now, or gives what can not be counted with
 */
export function metersOf(metrics: Metrics, trouble: (error: AntiphonError) => void): Meters {
  const { counter, gauge, histogram } = guarded(metrics, trouble)
  return {
    entriesProposed: counter('antiphon_entries_proposed_total', 'Entries that this replica framed as the leader.'),
    entriesApplied: counter('antiphon_entries_applied_total', 'Entries brought into the state machines.'),
    batchEntries: histogram('antiphon_batch_entries', 'Entries in one batch framed by the leader.'),
    writeMs: histogram('antiphon_write_milliseconds', 'From handing a write to the store until it was durable.'),
    writeWorstMs: gauge('antiphon_write_worst_milliseconds', 'The longest of antiphon_write_milliseconds since the start.'),
    slowFlushes: counter('antiphon_slow_flushes_total', 'Writes that took longer than fsyncWarnMs to become durable.'),
    queueBytes: gauge('antiphon_queue_bytes', 'Requests of this replica that wait or are under way.'),
    quarantines: counter('antiphon_quarantines_total', "Times that the state of this replica was found to differ from the quorum's."),
    active: gauge('antiphon_active', '1 while synchronised with a leader or leading, else 0.'),
    epoch: gauge('antiphon_epoch', 'Epoch of the present leader.'),
    clockAheadMs: gauge('antiphon_clock_ahead_milliseconds', "On a leader: its wall clock less the median of its voters' clocks; 0 elsewhere."),
  }
}

function guarded(metrics: Metrics, trouble: (error: AntiphonError) => void): Metrics {
  const told = new Set<string>()
  const attempt = (name: string, touch: () => void): void => {
    try {
      touch()
    } catch (thrown) {
      if (told.has(name)) return
      told.add(name)
      trouble(metricsThrew(name, thrown))
    }
  }
  return {
    counter(name, help) {
      const counter = made(name, 'add', () => metrics.counter(name, help))
      return { add: (value) => attempt(name, () => counter.add(value)) }
    },
    gauge(name, help) {
      const gauge = made(name, 'set', () => metrics.gauge(name, help))
      return { set: (value) => attempt(name, () => gauge.set(value)) }
    },
    histogram(name, help) {
      const histogram = made(name, 'observe', () => metrics.histogram(name, help))
      return { observe: (value) => attempt(name, () => histogram.observe(value)) }
    },
  }
}

function made<Meter>(name: string, method: keyof Meter & string, make: () => Meter): Meter {
  let meter: Meter
  try {
    meter = make()
  } catch (thrown) {
    throw invalidSettings(
      `\`metrics\` threw for ${name}: ${messageOf(thrown)}`,
      'Correct `metrics`; replicas of one process need figures told apart, by a label of their own.',
      thrown,
    )
  }
  if (typeof Object(meter)[method] !== 'function')
    throw invalidSettings(`\`metrics\` gave no ${method} for ${name}`, 'Pass { counter, gauge, histogram } of the port Metrics.')
  return meter
}

function metricsThrew(name: string, thrown: unknown): AntiphonError {
  return new AntiphonError('INVALID_ARGUMENT', `\`metrics\` threw for ${name}: ${messageOf(thrown)}`, {
    remedy: 'Catch what it throws; the replica goes on, and what it throws for this figure from here on is passed over without a word.',
    cause: thrown,
  })
}
