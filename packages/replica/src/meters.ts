import type { Metrics } from '@antiphon/ports'

/** What a replica measures; each is touched once a batch, never once an entry. */
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

export function metersOf(metrics: Metrics): Meters {
  return {
    entriesProposed: metrics.counter('antiphon_entries_proposed_total', 'Entries that this replica framed as the leader.'),
    entriesApplied: metrics.counter('antiphon_entries_applied_total', 'Entries brought into the state machines.'),
    batchEntries: metrics.histogram('antiphon_batch_entries', 'Entries in one batch framed by the leader.'),
    writeMs: metrics.histogram('antiphon_write_milliseconds', 'From handing a write to the store until it was durable.'),
    writeWorstMs: metrics.gauge('antiphon_write_worst_milliseconds', 'The longest of antiphon_write_milliseconds since the start.'),
    slowFlushes: metrics.counter('antiphon_slow_flushes_total', 'Writes that took longer than fsyncWarnMs to become durable.'),
    queueBytes: metrics.gauge('antiphon_queue_bytes', 'Requests of this replica that wait or are under way.'),
    quarantines: metrics.counter('antiphon_quarantines_total', "Times that the state of this replica was found to differ from the quorum's."),
    active: metrics.gauge('antiphon_active', '1 while synchronised with a leader or leading, else 0.'),
    epoch: metrics.gauge('antiphon_epoch', 'Epoch of the present leader.'),
    clockAheadMs: metrics.gauge('antiphon_clock_ahead_milliseconds', "On a leader: its wall clock less the median of its voters' clocks; 0 elsewhere."),
  }
}
