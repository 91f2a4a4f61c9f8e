export { TarspoutError, type TarspoutErrorCode } from './base/errors.js'
export {
  createFifoWriteStream,
  type FifoWriteStream,
  type FifoWriteStreamOptions,
} from './drop-in/fifo-write-stream.js'
export { type PackCallback, type PackOptions, type PackStream, pack } from './drop-in/pack.js'
export type { PackHeader } from './drop-in/pack-header.js'
export {
  type SpoutCommit,
  SpoutManager,
  type SpoutManagerOptions,
} from './drop-in/spout-manager.js'
export { type FifoOptions, type FifoWriter, openFifo } from './fifo/fifo.js'
export type { FifoStats } from './fifo/stats.js'
export type { NameRules } from './names/name-rules.js'
export { type PipelineSpec, parsePipelineSpec } from './spec/spec.js'
export { SpecError, type SpecFault } from './spec/spec-source.js'
export type { Commit, EntryOptions, RunEntry } from './spout/commit.js'
export type { SpoutOptions } from './spout/options.js'
export type { Receipt } from './spout/receipt.js'
export type { RunOptions, RunSummary } from './spout/run.js'
export { openSpout, type Spout, type SpoutStats } from './spout/spout.js'
export type { Body, BodyChunk, Entry, EntryType } from './tar/entry.js'
export { encodeHeader } from './tar/header.js'
