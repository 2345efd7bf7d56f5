/** The cases that a wrong adapter is caught by. */
export interface Refusal {
  readonly by: readonly string[]
  /** Wrong in so many ways, or at such moments, that others may fail as well: then these are the ones that are meant for it. */
  readonly others?: boolean
}

type Refusals = Readonly<Record<string, Refusal>>

export const storesRefused: Refusals = {
  OneSourceAtATime: {
    by: ['a source that stands still holds nothing else up, and goes on where it stopped', 'an install voids the snapshot of our own that is being saved'],
  },
  GoesOnWithAnother: {
    by: [
      'a source that stands still is given up, and another begun in its place leaves nothing of it',
      'reopened after each step of a workload, the store holds what the workload has written',
    ],
  },
  LeavesUnfinished: { by: ['a source that stands still when the store is closed leaves nothing behind'] },
  ReportsATime: {
    by: [
      'a new store takes the id that it is offered and is empty',
      'a truncation of everything leaves an empty log',
      'epochs and founding alone are writes like any other',
      'reopened after each step of a workload, the store holds what the workload has written',
    ],
  },
  TakesEachIdOffered: {
    by: [
      'a store keeps its id for ever',
      'a truncation within a run survives reopening, and so do the epochs, the id and the founding',
      'a saved snapshot is there after reopening, with the log behind it',
      'what compaction has left is there after reopening; epochs, id and founding too',
      'an installed generation is there after reopening; the id and the founding too',
      'reopened after each step of a workload, the store holds what the workload has written',
    ],
  },
  OneEndPerRun: { by: ['a run of several epochs, as a synchronisation brings it, keeps all their end points'] },
  Early: { by: ['what done() has told survives a crash, and every write is there whole or not at all'], others: true },
  FromInside: { by: ['completions come once, in the order of the writes, never from inside'], others: true },
  Reorders: { by: ['completions come once, in the order of the writes, never from inside'], others: true },
  AnswersNothingFirst: { by: ['completions come once, in the order of the writes, never from inside'] },
  AnswersTwice: { by: ['completions come once, in the order of the writes, never from inside'], others: true },
  SwallowsErrors: {
    by: [
      'a truncation to a history that is not this one is refused, and harms nothing',
      'after a failed flush every later write fails too, and what was durable stays',
    ],
  },
  GoesOn: { by: ['after a failed flush every later write fails too, and what was durable stays'] },
  ReadsLate: {
    by: ['an append is readable as soon as write() has returned', 'the caller may use the arrays of a write again once write() has returned'],
    others: true,
  },
  KeepsArrays: { by: ['the caller may use the arrays of a write again once write() has returned'] },
  DropsTruncations: {
    by: [
      'a truncation drops what lies above and nothing else',
      'one write cuts off a dirty tail, appends what replaces it and claims the epoch',
      'a truncation that done() has told survives a crash',
    ],
    others: true,
  },
  ForgetsEpochs: {
    by: ['a truncation within a run survives reopening, and so do the epochs, the id and the founding', 'a truncation that done() has told survives a crash'],
  },
  AppendsBeforeItTruncates: {
    by: [
      'one write cuts off a dirty tail, appends what replaces it and claims the epoch',
      'reopened after each step of a workload, the store holds what the workload has written',
    ],
  },
  NeverEmpty: { by: ['a truncation of everything leaves an empty log'] },
  TruncatesBlindly: { by: ['a truncation to a history that is not this one is refused, and harms nothing'] },
  NeedsEntries: {
    by: [
      'a truncation within a run survives reopening, and so do the epochs, the id and the founding',
      'epochs and founding alone are writes like any other',
      'what compaction has left is there after reopening; epochs, id and founding too',
      'reopened after each step of a workload, the store holds what the workload has written',
    ],
  },
  SmallRuns: { by: ['a run of several megabytes is kept whole'] },
  ReadOnlyLater: {
    by: [
      'what was appended is there after reopening',
      'an installed generation is there after reopening; the id and the founding too',
      'a crash around an install leaves the old history or the new, whole',
      'what done() has told survives a crash, and every write is there whole or not at all',
      'reopened after each step of a workload, the store holds what the workload has written',
    ],
  },
  Torn: { by: ['what done() has told survives a crash, and every write is there whole or not at all'], others: true },
  TruncatesLater: { by: ['a truncation that done() has told survives a crash'], others: true },
  InstallsInTwo: { by: ['a crash around an install leaves the old history or the new, whole'] },
  ReadsDurable: {
    by: [
      'an append is readable as soon as write() has returned',
      'one write installs a generation in the place of snapshot and log, with the epoch that claims it',
    ],
  },
  ReadsBehindTheEnd: { by: ['a truncation drops what lies above and nothing else'] },
  IgnoresUpTo: { by: ['read() gives whole entries in (after, upTo], contiguous and with checksums that hold'] },
  IgnoresBytesMax: { by: ['read() keeps to about bytesMax, and gives one entry at least'] },
  ReadsWhatItHas: { by: ['a read that begins before the log is refused'] },
  AlwaysASnapshot: {
    by: [
      'an older snapshot is found by its ZXID as long as it is kept, and nothing by any other',
      'there is no snapshot before one was saved',
      'a staged generation is invisible until it is installed',
    ],
  },
  OnlyAsynchronous: { by: ['a saved snapshot comes back chunk for chunk, from asynchronous and from plain sources'] },
  SnapshotsInMemory: {
    by: [
      'a saved snapshot is there after reopening, with the log behind it',
      'reopened after each step of a workload, the store holds what the workload has written',
    ],
  },
  OpensTheNewest: {
    by: [
      'an older snapshot is found by its ZXID as long as it is kept, and nothing by any other',
      'reopened after each step of a workload, the store holds what the workload has written',
    ],
  },
  KeepsTheFirst: { by: ['a saved snapshot takes the place of one at the same ZXID'] },
  ShowsUnfinished: { by: ['a snapshot is invisible until it is whole', 'an install voids the snapshot of our own that is being saved'] },
  KeepsTheBroken: { by: ['a snapshot whose source breaks off leaves the one before it', 'a generation whose source breaks off is void'] },
  PinsNothing: {
    by: [
      'an older snapshot is found by its ZXID as long as it is kept, and nothing by any other',
      'an open snapshot stays readable whatever is saved and compacted',
      'a snapshot that was open before an install stays readable',
    ],
  },
  OvertakesInstalls: { by: ['an install voids the snapshot of our own that is being saved'] },
  CompactsToTheNewest: { by: ['compaction keeps the newest snapshots and the log behind the oldest of them'] },
  CompactsTooMuch: { by: ['compaction forgets nothing at or after keepFrom'] },
  CompactsWithoutASnapshot: { by: ['nothing is forgotten while there is no snapshot'] },
  CompactsTheFoundingAway: {
    by: [
      'what compaction has left is there after reopening; epochs, id and founding too',
      'reopened after each step of a workload, the store holds what the workload has written',
    ],
  },
  ShowsStaged: { by: ['a staged generation is invisible until it is installed'] },
  InstallsAtClose: { by: ['a staged generation that was not installed is not there after reopening'] },
  InstallsWithoutItsLog: {
    by: [
      'a source that stands still holds nothing else up, and goes on where it stopped',
      'one write installs a generation in the place of snapshot and log, with the epoch that claims it',
      'an installed generation is there after reopening; the id and the founding too',
      'what was appended to a generation is durable before the write that installs it',
      'a discarded generation is void, unknown ones are ignored, and no number is used again',
      'a crash around an install leaves the old history or the new, whole',
      'reopened after each step of a workload, the store holds what the workload has written',
    ],
  },
  InstallsAnotherFounding: {
    by: [
      'an installed generation is there after reopening; the id and the founding too',
      'reopened after each step of a workload, the store holds what the workload has written',
    ],
  },
  StagesLate: {
    by: [
      'what was appended to a generation is durable before the write that installs it',
      'a crash around an install leaves the old history or the new, whole',
    ],
  },
  UsesNumbersAgain: { by: ['a discarded generation is void, unknown ones are ignored, and no number is used again'] },
  ClosesAtOnce: { by: ['close() finishes the writes that were accepted, and may be called twice', 'what close() has finished is there after reopening'] },
  ClosesWithoutAFlush: { by: ['what close() has finished is there after reopening'] },
  NeverClosed: { by: ['a closed store refuses writes and reads with an error of its own'] },
  NoLock: {
    by: [
      'a place in use is refused, and its first user is not disturbed',
      'a place is refused for as long as its user has not closed, however many have tried, and free afterwards',
    ],
  },
  NeverUnlocks: {
    by: [
      'a place in use is refused, and its first user is not disturbed',
      'a place is refused for as long as its user has not closed, however many have tried, and free afterwards',
    ],
  },
}

export const foldersRefused: Refusals = {
  EarlyFolder: {
    by: [
      'a truncation to a history that is not this one is refused, and harms nothing',
      'close() finishes the writes that were accepted, and may be called twice',
      'whatever a power failure loses or tears, after any operation on the disk: what was reported durable is there, and nothing that was never written',
      'ENOSPC at any call stops the store, and nothing that was reported durable is lost',
      'EIO at any call stops the store, and nothing that was reported durable is lost',
      'EIO at any call while a store is opened, read or written to again loses nothing',
    ],
  },
  NeverFlushes: {
    by: [
      'whatever a power failure loses or tears, after any operation on the disk: what was reported durable is there, and nothing that was never written',
      'ENOSPC at any call stops the store, and nothing that was reported durable is lost',
      'EIO at any call stops the store, and nothing that was reported durable is lost',
      'EIO at any call while a store is opened, read or written to again loses nothing',
    ],
  },
  NeverFlushesNames: {
    by: [
      'whatever a power failure loses or tears, after any operation on the disk: what was reported durable is there, and nothing that was never written',
      'ENOSPC at any call stops the store, and nothing that was reported durable is lost',
      'EIO at any call stops the store, and nothing that was reported durable is lost',
      'EIO at any call while a store is opened, read or written to again loses nothing',
    ],
  },
  WritesInPlace: {
    by: [
      'whatever a power failure loses or tears, after any operation on the disk: what was reported durable is there, and nothing that was never written',
      'ENOSPC at any call stops the store, and nothing that was reported durable is lost',
      'EIO at any call stops the store, and nothing that was reported durable is lost',
      'EIO at any call while a store is opened, read or written to again loses nothing',
    ],
  },
  IgnoresFullDisks: { by: ['ENOSPC at any call stops the store, and nothing that was reported durable is lost'] },
  FlushesAgain: {
    by: [
      'EIO at any call stops the store, and nothing that was reported durable is lost',
      'EIO at any call while a store is opened, read or written to again loses nothing',
    ],
  },
  TriesTheNext: {
    by: [
      'a truncation to a history that is not this one is refused, and harms nothing',
      'ENOSPC at any call stops the store, and nothing that was reported durable is lost',
      'EIO at any call stops the store, and nothing that was reported durable is lost',
      'EIO at any call while a store is opened, read or written to again loses nothing',
    ],
  },
  TakesErrorsForNothing: { by: ['EIO at any call while a store is opened, read or written to again loses nothing'] },
  ChecksNothing: { by: ['a bit that flips anywhere is refused or harms nothing: never another state'] },
  TakesRotForNothing: { by: ['a bit that flips anywhere is refused or harms nothing: never another state'] },
}

export const transportsRefused: Refusals = {
  ReordersFrames: {
    by: [
      'frames arrive whole, unchanged, once and in the order of their lane',
      'three peers hear each from the others, and only what is for them',
      'a full lane refuses, drains and takes again; what it took arrives in order (control)',
      'a full lane refuses, drains and takes again; what it took arrives in order (entries)',
      'a full lane refuses, drains and takes again; what it took arrives in order (bulk)',
      'a full lane holds up no other lane',
    ],
  },
  Duplicates: {
    by: [
      'frames arrive whole, unchanged, once and in the order of their lane',
      'three peers hear each from the others, and only what is for them',
      'a full lane refuses, drains and takes again; what it took arrives in order (control)',
      'a full lane refuses, drains and takes again; what it took arrives in order (entries)',
      'a full lane refuses, drains and takes again; what it took arrives in order (bulk)',
    ],
  },
  ChangesPieces: { by: ['frames arrive whole, unchanged, once and in the order of their lane', 'the largest frame is carried'] },
  CallsBackFromInside: { by: ['frames arrive whole, unchanged, once and in the order of their lane'], others: true },
  ReusesMemory: { by: ['frames arrive whole, unchanged, once and in the order of their lane'], others: true },
  Broadcasts: { by: ['three peers hear each from the others, and only what is for them'] },
  SmallFrames: { by: ['the largest frame is carried'] },
  NoBound: { by: ['a full lane refuses, drains and takes again; what it took arrives in order (bulk)'], others: true },
  FeedsTheVoid: { by: ['a peer that is gone without a word fills its lanes and disturbs nobody else'] },
  TakesAndRefuses: {
    by: [
      'a full lane refuses, drains and takes again; what it took arrives in order (control)',
      'a full lane refuses, drains and takes again; what it took arrives in order (entries)',
      'a full lane refuses, drains and takes again; what it took arrives in order (bulk)',
    ],
  },
  NeverDrains: {
    by: [
      'a full lane refuses, drains and takes again; what it took arrives in order (control)',
      'a full lane refuses, drains and takes again; what it took arrives in order (entries)',
      'a full lane refuses, drains and takes again; what it took arrives in order (bulk)',
    ],
  },
  OneQueue: { by: ['a full lane holds up no other lane'] },
  OneOrder: { by: ['a full lane holds up no other lane'] },
  OneBudget: { by: ['a full lane to one peer holds up no other peer'] },
  ThrowsWhenAway: {
    by: [
      'a frame to an unknown peer, to ourselves or to a peer that is away is refused, never thrown',
      'a peer that is no longer in setPeers is dropped, and comes back when it is again',
      'close() is told to the others, may be repeated, and ends everything',
    ],
  },
  TakesForAnybody: {
    by: [
      'a frame to an unknown peer, to ourselves or to a peer that is away is refused, never thrown',
      'a peer that is no longer in setPeers is dropped, and comes back when it is again',
      'close() is told to the others, may be repeated, and ends everything',
    ],
  },
  EchoesGreetings: { by: ["both ends hear up() with the other's greeting"] },
  DeliversLate: { by: ['1000 reconnections leave nothing behind', 'frames of a connection that is down are never told; those of the next one are'] },
  NeverSaysDown: { by: ['a connection that was closed is told to both ends and dialled again, under new numbers'], others: true },
  UsesNumbersAgain: { by: ['a connection that was closed is told to both ends and dialled again, under new numbers'], others: true },
  ClosesWhateverIsThere: { by: ['disconnect() of a connection that is gone does nothing'] },
  SeesHalfOfABreak: { by: ['a connection that the network breaks is told to both ends and dialled again'] },
  TakesNoRefusal: { by: ['a handler that refuses a connection hears nothing more of it, and is asked again'] },
  DialsOnce: { by: ['a peer that does not know us yet is dialled again until it does'] },
  NeverComesBack: {
    by: [
      '1000 reconnections leave nothing behind',
      'a connection that was closed is told to both ends and dialled again, under new numbers',
      'disconnect() of a connection that is gone does nothing',
      'disconnect() ends a half-open connection without the help of its other end',
    ],
  },
  NeverMoves: {
    by: [
      'a peer that was not there yet is found once it is',
      'the next process of a peer is another connection, at its new address',
      'peer 2 vanishes without a word: its next process is connected, and down() comes before up()',
      'disconnect() ends a half-open connection without the help of its other end',
      'a peer that is killed and started again and again is connected each time',
    ],
  },
  DropsNobody: {
    by: ['a peer that does not know us yet is dialled again until it does', 'a peer that is no longer in setPeers is dropped, and comes back when it is again'],
  },
  LeavesSilently: {
    by: [
      'a frame to an unknown peer, to ourselves or to a peer that is away is refused, never thrown',
      'the next process of a peer is another connection, at its new address',
      'close() is told to the others, may be repeated, and ends everything',
      'a peer that is killed and started again and again is connected each time',
    ],
  },
  TalksAfterItsEnd: {
    by: ['the next process of a peer is another connection, at its new address', 'a peer that is killed and started again and again is connected each time'],
  },
  BelievesAnybody: { by: ['whoever answers under another name than the one that was dialled is not that peer'] },
  TakesLongGreetings: { by: ['a greeting that is too long is refused at once'] },
  BelievesInTheDead: { by: ['peer 1 vanishes without a word: its next process is connected, and down() comes before up()'] },
  BelievesInItsOwn: { by: ['peer 2 vanishes without a word: its next process is connected, and down() comes before up()'] },
  ClosesByAgreement: { by: ['disconnect() ends a half-open connection without the help of its other end'] },
  LosesPatience: { by: ['1000 reconnections leave nothing behind', 'a peer that is killed and started again and again is connected each time'] },
  LeaksTimers: { by: ['1000 reconnections leave nothing behind'] },
  LeaksMemory: { by: ['1000 reconnections leave nothing behind'] },
}

export const machinesRefused: Refusals = {
  ReadsClock: { by: ['apply() reads no clock and draws nothing at random'], others: true },
  GlancesAtTheClock: { by: ['apply() reads no clock and draws nothing at random'] },
  DrawsLots: { by: ['apply() reads no clock and draws nothing at random'], others: true },
  DependsOnBatches: { by: ['a batch and its changes one by one give the same state and results'], others: true },
  KnowsItself: { by: ['the same changes give the same state and the same results'], others: true },
  SignsItsAnswers: { by: ['the same changes give the same state and the same results', 'a batch and its changes one by one give the same state and results'] },
  LosesTheTime: { by: ['requests and results survive their codecs'] },
  CountsEmptyBatches: {
    by: [
      'an empty batch changes nothing',
      'a snapshot, restored, is the same state and goes on in the same way',
      'a snapshot taken slice by slice, with changes applied between the slices, is exact',
    ],
  },
  AnswersItsOwn: { by: ['there is one result per change, whoever made the requests'] },
  TrustsItself: { by: ['what the primary applies is what the others apply', 'a reign that is void leaves nothing of what was prepared'] },
  FixesTheBeginning: { by: ['a snapshot taken slice by slice, with changes applied between the slices, is exact'] },
  FixesAtTheFirstSlice: { by: ['a snapshot stays what it was at the call while apply() goes on', 'two snapshots can be under way at once'] },
  NotesAbandonedSnapshots: { by: ['a snapshot that is given up half-way leaves no trace'] },
  OneSnapshot: { by: ['two snapshots can be under way at once'] },
  RestoresInPart: { by: ['restore() rejects when its source breaks off'] },
  LiveSnapshot: {
    by: [
      'a snapshot stays what it was at the call while apply() goes on',
      'a snapshot taken slice by slice, with changes applied between the slices, is exact',
      'two snapshots can be under way at once',
    ],
  },
  KeepsMemory: {
    by: [
      "nothing of a batch's memory is kept",
      'a snapshot, restored, is the same state and goes on in the same way',
      'a snapshot stays what it was at the call while apply() goes on',
      'a snapshot taken slice by slice, with changes applied between the slices, is exact',
      'two snapshots can be under way at once',
    ],
  },
  RestoresOnTop: { by: ['a snapshot, restored, is the same state and goes on in the same way'] },
  DigestsNothing: { by: ['the digest tells states apart, and reading it changes nothing'] },
  OneResultTooFew: { by: ['a batch and its changes one by one give the same state and results', 'there is one result per change, whoever made the requests'] },
  LooksBehind: {
    by: [
      'what prepare() returns does not depend on what is applied yet',
      'a request that is refused leaves the speculation as it was',
      'unprepare() takes back the last change and no other',
      'a reign that is void leaves nothing of what was prepared',
      'leading() forgets what an earlier reign has prepared',
    ],
  },
  AppliesAtOnce: {
    by: [
      'prepare() changes nothing that can be read',
      'unprepare() takes back the last change and no other',
      'a reign that is void leaves nothing of what was prepared',
      'leading() forgets what an earlier reign has prepared',
    ],
  },
  DirtyRefusal: { by: ['a request that is refused leaves the speculation as it was'] },
  NeverTakesBack: { by: ['unprepare() takes back the last change and no other'] },
  NeverAbandons: { by: ['leading() forgets what an earlier reign has prepared'] },
}
