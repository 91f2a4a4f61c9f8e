import { channel } from 'node:diagnostics_channel'

/**
 * What is published on `node:diagnostics_channel`. Each message has `path`; the archive's have
 * `archive`, its number.
 */
export const events = {
  /** An archive was delivered: `{ path, archive, attempts, blockedMs }`. */
  delivered: channel('tarspout:archive:delivered'),
  /** An archive is sent again: `{ path, archive, attempts }`. */
  replayed: channel('tarspout:archive:replayed'),
  /** An archive failed: `{ path, archive, error }`. */
  failed: channel('tarspout:archive:failed'),
  /**
   * openFifo() opened the write end. Not told of a spout, which may open it once per archive. `{
   * path }`.
   */
  opened: channel('tarspout:fifo:opened'),
  /** No reader has the FIFO open any more. `{ path }`. */
  readerLost: channel('tarspout:reader:lost'),
  /** A reader has it open again. `{ path }`. */
  readerBack: channel('tarspout:reader:back'),
  /** Someone else wrote into the FIFO or closed a write end of it. Told once. `{ path }`. */
  foreignWriter: channel('tarspout:writer:foreign'),
}
