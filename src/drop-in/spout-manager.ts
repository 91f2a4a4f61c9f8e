import { join } from 'node:path'
import { Readable } from 'node:stream'
import { TarspoutError } from '../base/errors.js'
import { checkPath, describe } from '../fifo/options.js'
import type { Commit } from '../spout/commit.js'
import type { SpoutOptions } from '../spout/options.js'
import type { Receipt } from '../spout/receipt.js'
import { Spout, type SpoutStats } from '../spout/spout.js'
import { gather, toBytes } from '../tar/body.js'
import type { Body, BodyChunk } from '../tar/entry.js'

/**
 * python-pachyderm's two options in camelCase, and those of {@link SpoutOptions} for everything
 * else.
 */
export interface SpoutManagerOptions extends Omit<SpoutOptions, 'path' | 'markerName'> {
  /**
   * The pipeline's `spout.marker`: the file that marker() reads and putMarkerFrom...() write.
   * Default: there is none.
   */
  markerFilename?: string | undefined
  /** The folder with the FIFO `out` and the marker. Default: `$PFS_DIR`, and `/pfs` without it. */
  pfsDirectory?: string | undefined
  /**
   * Bytes of a commit held back until it is ended, so that one that fails leaves nothing. A larger
   * commit is on its way before its end; if it fails then, the reader gets it cut inside a file.
   * Default 64 MiB.
   */
  highWaterMark?: number | undefined
}

const HIGH_WATER_MARK = 64 << 20

/**
 * python-pachyderm's class of this name: commits of files, and the marker.
 *
 * ```js
 * const spout = new SpoutManager({ markerFilename: 'position' })
 * await spout.commit(async (commit) => {
 *   await commit.putFileFromBytes('orders/17.json', bytes)
 *   commit.putMarkerFromBytes('17')
 * })
 * ```
 *
 * One commit is open at a time. The next may begin while earlier ones are on their way; they are
 * delivered in order.
 */
export class SpoutManager {
  readonly #spout: Spout
  readonly #markerFilename: string | undefined

  /**
   * Checks and claims the FIFO; it is opened when the first commit is to be sent.
   *
   * @throws TarspoutError ERR_FIFO_NOT_A_FIFO, ERR_FIFO_BUSY; AbortError; errors of the system
   *   (ENOENT, EACCES); TypeError and RangeError for wrong options
   */
  constructor(options: SpoutManagerOptions = {}) {
    if (typeof options !== 'object' || options === null) {
      throw new TypeError(`SpoutManager's options must be an object, found ${describe(options)}`)
    }
    // The spout checks what is left; two of its own names are spelt differently here.
    const { markerFilename, pfsDirectory = process.env.PFS_DIR ?? '/pfs', ...rest } = options
    for (const name of ['path', 'markerName']) {
      if (name in rest) {
        throw new TypeError(
          `SpoutManager has no option "${name}"; it has pfsDirectory and markerFilename`,
        )
      }
    }
    this.#markerFilename = markerFilename
    this.#spout = Spout.open({
      ...rest,
      highWaterMark: rest.highWaterMark ?? HIGH_WATER_MARK,
      path: join(checkPath(pfsDirectory), 'out'),
      markerName: markerFilename,
    })
  }

  /**
   * Makes one commit of what `block` puts into it. If the block throws, or anything it put fails,
   * nothing is committed.
   *
   * @param block is called at once; what it returns is awaited
   * @returns settles when the commit was delivered, as {@link SpoutOptions.confirm} says
   * @throws whatever the block threw, or the first put of it that failed; ERR_STATE while another
   *   commit is open, so also inside a block, and after close(); and what {@link SpoutCommit.end}
   *   does
   */
  async commit(block: (commit: SpoutCommit) => unknown): Promise<Receipt> {
    const commit = this.beginCommit()
    try {
      await block(commit)
    } catch (error) {
      commit.abort(error)
      throw error
    }
    return commit.end()
  }

  /**
   * Begins a commit that is ended by hand: `await using commit = spout.beginCommit()` and, last in
   * the block, `await commit.end()`; left in any other way, the block aborts it.
   *
   * @throws TarspoutError ERR_STATE while another is open or after close(); an AbortError
   */
  beginCommit(): SpoutCommit {
    return new SpoutCommit(this.#spout.beginCommit(), this.#markerFilename)
  }

  /**
   * Reads the marker as the last run stored it: it is put beside the FIFO before this process
   * begins, and does not change after that.
   *
   * @returns settles with its bytes, or undefined if there is none yet
   * @throws TarspoutError ERR_STATE without markerFilename; errors of the system
   */
  async marker(): Promise<Buffer | undefined> {
    if (this.#markerFilename === undefined) throw noMarker('marker')
    return this.#spout.readMarker()
  }

  /** What was measured until now. */
  stats(): SpoutStats {
    return this.#spout.stats()
  }

  /**
   * Aborts an open commit, waits until every ended one was delivered or has failed, and closes the
   * write end. With no reader that takes as long as it takes, unless readerTimeoutMs or the signal
   * ends it.
   */
  close(): Promise<void> {
    return this.#spout.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}

/**
 * One commit, as {@link SpoutManager.commit} gives it.
 *
 *     open --end()--> ended
 *       |--abort(), or a put fails--> failed: every further call fails with the same error
 *
 * Files are written in the order of the calls, whether those are awaited or not; awaiting them
 * keeps memory small. Memory is borrowed until the commit is delivered.
 */
export class SpoutCommit {
  readonly #commit: Commit
  readonly #markerFilename: string | undefined
  readonly #puts = new Set<Promise<void>>() // not yet settled
  readonly #sources = new Set<Readable>() // streams that are read, or are to be
  readonly #stop = new AbortController() // ends the reading of a marker
  #state: 'open' | 'ended' | 'failed' = 'open'
  #failure: unknown
  #markers = 0

  /** @internal Use {@link SpoutManager.commit}. */
  constructor(commit: Commit, markerFilename: string | undefined) {
    this.#commit = commit
    this.#markerFilename = markerFilename
  }

  /**
   * Puts a file.
   *
   * @param path see {@link SpoutOptions.nameRules}
   * @param bytes of the file; a string is written in UTF-8
   * @returns settles when the next put may follow
   * @throws TarspoutError ERR_TAR_NAME, ERR_TAR_BODY, ERR_STATE once ended; TypeError; what failed
   * the commit
   */
  putFileFromBytes(path: string, bytes: BodyChunk): Promise<void> {
    return this.#put('putFileFromBytes', async () => {
      if (!this.#commit.add(path, toBytes(bytes, { entry: path }))) await this.#commit.ready()
    })
  }

  /**
   * Puts a file whose content is read.
   *
   * @param path see {@link SpoutOptions.nameRules}
   * @param size bytes of the file; a header states them before its body comes
   * @param readable any Node or web stream, (async) iterable, or bytes, with exactly that many. A
   *   stream is read to its end, or destroyed if the commit fails.
   * @returns settles when all of it was read and the next put may follow
   * @throws TarspoutError ERR_TAR_SIZE for another size, ERR_TAR_BODY if it failed (`cause`);
   *   RangeError for a size that is no whole number; what putFileFromBytes() throws
   */
  putFileFromFileobj(
    path: string,
    size: number,
    readable: Body | NodeJS.ReadableStream,
  ): Promise<void> {
    return this.#put('putFileFromFileobj', () =>
      this.#read(readable, async (body) => {
        if (!this.#commit.add(path, body, { size })) await this.#commit.ready()
      }),
    )
  }

  /**
   * Sets the marker. It is written behind the files; set again, the last one counts.
   *
   * @throws TarspoutError ERR_STATE without markerFilename or once ended; ERR_TAR_BODY; TypeError;
   * what failed the commit
   */
  putMarkerFromBytes(bytes: BodyChunk): Promise<void> {
    return this.#put('putMarkerFromBytes', async () => {
      if (this.#markerFilename === undefined) throw noMarker('putMarkerFromBytes')
      this.#commit.addMarker(toBytes(bytes, { entry: this.#markerFilename }))
      this.#markers++
    })
  }

  /**
   * Sets the marker to what is read, as {@link putFileFromFileobj} does.
   *
   * @returns settles when all of it was read
   */
  putMarkerFromFileobj(size: number, readable: Body | NodeJS.ReadableStream): Promise<void> {
    return this.#put('putMarkerFromFileobj', () =>
      this.#read(readable, async (body) => {
        const entry = this.#markerFilename
        if (entry === undefined) throw noMarker('putMarkerFromFileobj')
        const marker = ++this.#markers
        const bytes = await gather(body, { entry, size, signal: this.#stop.signal })
        // The last call counts, not the source that takes longest.
        if (marker === this.#markers) this.#commit.addMarker(bytes)
      }),
    )
  }

  /**
   * Ends the commit. {@link SpoutManager.commit} does it.
   *
   * @returns settles when it was delivered, as {@link SpoutOptions.confirm} says
   * @throws the first put that failed, awaited or not (nothing is committed then); TarspoutError
   *   ERR_STATE once ended; ERR_DELIVERY_UNCERTAIN, ERR_REPLAY_LIMIT, ERR_FIFO_NO_READER,
   *   ERR_FIFO_REMOVED, ERR_TAR_BODY; an AbortError
   */
  async end(): Promise<Receipt> {
    if (this.#state === 'open') {
      this.#state = 'ended'
      await Promise.allSettled(this.#puts)
    } else if (this.#state === 'ended') {
      throw this.#ended('end')
    }
    // A put, or abort(), may have failed it meanwhile.
    if (this.#hasFailed()) throw this.#failure
    return this.#commit.end()
  }

  /**
   * Takes the commit back; does nothing once it is on its way. Of one with at most highWaterMark
   * bytes nothing was sent.
   *
   * @param reason what the puts that still wait, and every later call, reject with. Default:
   * ERR_STATE
   */
  abort(reason: unknown = new TarspoutError('ERR_STATE', 'the commit was aborted')): void {
    if (this.#state === 'open' || this.#puts.size > 0) this.#fail(reason)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#state === 'open') this.abort()
  }

  #hasFailed(): boolean {
    return this.#state === 'failed'
  }

  // `work` begins at once, so that the order of the calls is the order of the files. Whoever does
  // not await it hears of its failure from end(); only after that nobody would, so it is left to be
  // an unhandled rejection.
  #put(call: string, work: () => Promise<void>): Promise<void> {
    if (this.#state === 'ended') return Promise.reject(this.#ended(call))
    const put = this.#state === 'failed' ? Promise.reject(this.#failure) : work()
    this.#puts.add(put)
    put.then(
      () => this.#puts.delete(put),
      (error) => {
        this.#puts.delete(put)
        this.#fail(error)
      },
    )
    return put
  }

  async #read(
    readable: Body | NodeJS.ReadableStream,
    work: (body: Body) => Promise<void>,
  ): Promise<void> {
    if (!isStream(readable)) return work(readable)
    // Streams older than async iteration have only events.
    const source = (
      Symbol.asyncIterator in readable ? readable : new Readable().wrap(readable)
    ) as Readable
    this.#sources.add(source)
    await work(source)
    this.#sources.delete(source)
  }

  #fail(error: unknown): void {
    if (this.#state === 'failed') return
    this.#state = 'failed'
    this.#failure = error
    this.#commit.abort(error)
    this.#stop.abort(error)
    for (const source of this.#sources) source.destroy?.()
    this.#sources.clear()
  }

  #ended(call: string): TarspoutError {
    return new TarspoutError('ERR_STATE', `${call}() needs an open commit; this one is ended`)
  }
}

function noMarker(call: string): TarspoutError {
  return new TarspoutError('ERR_STATE', `${call}() needs the option markerFilename, found none`)
}

function isStream(value: Body | NodeJS.ReadableStream): value is NodeJS.ReadableStream {
  return typeof (value as NodeJS.ReadableStream)?.pipe === 'function'
}
