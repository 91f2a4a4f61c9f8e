import { createRequire } from 'node:module'
import { resolve } from 'node:path'
import { TarspoutError } from './base/errors.js'

const require = createRequire(import.meta.url)

/**
 * What native/binding exports. Arguments are checked before they get here; native code re-checks
 * only what would be unsafe.
 */
export interface Addon extends PortCalls {
  /**
   * Encodes a header into `target` from `offset` on. Returns its bytes; if that is more than
   * `target` has there, nothing was written. An entry no format can hold gives the reasons instead:
   * field, reason, index of the pax record, field, ...
   *
   * Text is well-formed, numbers are safe integers, `typeflag` is a character code, `pax` is key,
   * value, key, value, ...
   */
  encodeHeader(
    target: Uint8Array,
    offset: number,
    name: string,
    linkname: string,
    uname: string,
    gname: string,
    size: number,
    mode: number,
    mtimeS: number,
    mtimeNs: number,
    uid: number,
    gid: number,
    typeflag: number,
    devmajor: number,
    devminor: number,
    namesInPax: boolean,
    pax: readonly string[] | undefined,
  ): number | (string | number)[]

  /**
   * Bytes unread and capacity of the pipe that `fd` is an end of; zeros if it is none. `fd` stays
   * the caller's.
   */
  pipeFilling(fd: number): [unread: number, capacity: number]

  /**
   * Opens a channel: one FIFO, its send window, its share of the engine. Gives its port, or
   * `[failure, errno]`. Once nobody holds the port, the channel ends.
   *
   * @param numbers retainBytes, highWaterMark, pipeSize, maxAttempts, readerTimeoutMs (-1: none)
   * @param flags raw, persistent, committed, zeroCopy, spill, checkNames
   * @param onReports called with what happened, {@link REPORT_FIELDS} numbers a report, in order
   */
  openChannel(
    path: string,
    numbers: readonly number[],
    flags: readonly boolean[],
    onReports: (reports: Float64Array) => void,
  ): Port | [failure: number, errno: number]
}

type Calls = Omit<NativeChannel, 'port'>

/** What a {@link NativeChannel} does, by the number of its port. */
type PortCalls = {
  [Name in keyof Calls]: (port: number, ...rest: Parameters<Calls[Name]>) => ReturnType<Calls[Name]>
}

/** A channel in native code. Its number is good as long as the port is held. */
export interface Port {
  readonly number: number
}

/** Numbers of one report: kind, failure, archive, attempts, errno, blockedMs. */
export const REPORT_FIELDS = 6

/** Whether there is room for more: 0 go on, 1 wait for it. */
export type Verdict = 0 | 1

// Static requires, so that bundlers see them. A checkout has its own build, with symbols; the
// package has a prebuilt one.
const places = [
  () => require('../build/Release/tarspout.node'),
  () => require('../prebuilds/linux-x64/tarspout.node'),
]

/** TARSPOUT_ADDON names another build (one with sanitizers, say): then that one, or none. */
function load(): Addon {
  const other = process.env.TARSPOUT_ADDON
  let cause: NodeJS.ErrnoException | undefined
  for (const place of other ? [() => require(resolve(other))] : places) {
    try {
      return place()
    } catch (error) {
      cause = error as NodeJS.ErrnoException
      // One that is there and broken is told, not passed over.
      if (cause.code !== 'MODULE_NOT_FOUND') break
    }
  }
  throw new TarspoutError(
    'ERR_ADDON_LOAD',
    `tarspout's native addon could not be loaded on ${process.platform}-${process.arch}, Node ${process.version}: ` +
      `${cause?.message.split('\n')[0]}. It is for Linux on x64 with glibc; "Platforms" in the README has the versions. ` +
      'If this is such a machine, install the package again, on this machine. ' +
      'In a checkout, build it: `npm run build` (needs a C++20 compiler, make and python3).',
    { cause },
  )
}

/** The addon, loaded once per environment. */
export const addon: Addon = load()

/**
 * A channel's functions (native/binding/port.cc). They may be called in any order; nothing waits.
 * The addon has one of each for all channels: functions of each one's own take long to make, and V8
 * compiles their callers anew.
 */
export class NativeChannel {
  /** What keeps the number. */
  readonly port: Port
  readonly #number: number

  constructor(port: Port) {
    this.port = port
    this.#number = port.number
  }

  /**
   * Fixes what add() writes into headers beside name and size. False: these values need a header of
   * their own.
   */
  setTemplate(mode: number, mtimeS: number, uid: number, gid: number): boolean {
    return addon.setTemplate(this.#number, mode, mtimeS, uid, gid)
  }

  /**
   * A regular file of the template. Answers with the bytes of its header, which are even, plus the
   * {@link Verdict}; or with -1: nothing was written, since something may be wrong with it, or its
   * name or size is for addEncoded().
   */
  add(name: string, body: Uint8Array | undefined): number {
    return addon.add(this.#number, name, body)
  }

  /**
   * Regular files of the template, in an archive whose names have no folders.
   *
   * @param records the first `bytes` of it are what native/tar/packed_entries.h calls records:
   *   names of up to 100 bytes that are plain and have no slash, bodies of up to 1 KiB
   */
  addMany(records: Uint8Array, bytes: number): Verdict {
    return addon.addMany(this.#number, records, bytes)
  }

  /**
   * Whether the clean path of what addEncoded() is to add is free: no folder or file of the open
   * archive is in its way.
   */
  claimPath(path: string): boolean {
    return addon.claimPath(this.#number, path)
  }

  /** A header encoded elsewhere, a body or none, and its padding. */
  addEncoded(header: Uint8Array, body: Uint8Array | undefined): Verdict {
    return addon.addEncoded(this.#number, header, body)
  }

  /**
   * A part of a body, or padding. Up to 16 KiB are copied, more are borrowed until they are
   * released.
   */
  append(bytes: Uint8Array): Verdict {
    return addon.append(this.#number, bytes)
  }

  /**
   * Bytes into a raw channel, copied or borrowed likewise. Up to 64 KiB that nothing stands before
   * may be written by this call, and reports told before it returns.
   */
  write(chunks: readonly Uint8Array[]): Verdict {
    return addon.write(this.#number, chunks)
  }

  /**
   * The end-of-archive marker (not on a raw channel); the archive is whole, and the next one
   * begins. They are numbered from 1 on. `isAlone`: a small one may be sent by this call, and its
   * reports told before it returns. Else it may be kept until handOver(), up to 64 KiB in all.
   * Whether there is room for more.
   */
  finish(isAlone: boolean): boolean {
    return addon.finish(this.#number, isAlone)
  }

  /** Takes the open archive back. `insideBody`: the last entry's body is not complete. */
  abortOpen(insideBody: boolean): void {
    addon.abortOpen(this.#number, insideBody)
  }

  /** Hands over the archives that finish() kept, so that the engine gets them together. */
  handOver(): void {
    addon.handOver(this.#number)
  }

  /** Report when there is room again. */
  wantRoom(): void {
    addon.wantRoom(this.#number)
  }

  /** Open the write end although there is nothing to send yet. */
  wantOpen(): void {
    addon.wantOpen(this.#number)
  }

  close(lingerMs: number): void {
    addon.close(this.#number, lingerMs)
  }

  abortAll(): void {
    addon.abortAll(this.#number)
  }

  /** In the order of native/binding/port.cc, Stats(). */
  stats(): Float64Array {
    return addon.stats(this.#number)
  }

  /** Whether the process shall live for this channel. */
  keepAlive(keep: boolean): void {
    addon.keepAlive(this.#number, keep)
  }
}
