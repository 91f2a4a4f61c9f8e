import { randomUUID } from 'node:crypto'
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdtempSync,
  rmdirSync,
  rmSync,
  symlinkSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, relative, resolve } from 'node:path'
import { TarspoutError } from '../base/errors.js'
import { makeFolders } from '../base/folders.js'
import { runProgram } from '../base/program.js'

/**
 * The folders that Pachyderm gives a pipeline, under `<root>/pfs`; a temporary root goes with it.
 */
export class Workspace {
  readonly root: string
  readonly #isTemporary: boolean
  readonly #made: string[] = []
  readonly #links: string[] = []
  readonly #fifoMode: number

  /**
   * @param root `/` serves programs that have `/pfs/out` written into them; by default a new
   * temporary folder.
   * @param fifoMode whom the FIFO lets in; the folders that are made can be entered by the same
   * @throws what mkdir(2) says
   */
  constructor(root?: string, fifoMode = 0o600) {
    this.#fifoMode = fifoMode
    this.#isTemporary = root === undefined
    this.root = root === undefined ? mkdtempSync(join(tmpdir(), 'tarspout-')) : resolve(root)
    try {
      if (this.#isTemporary) this.#letIn(this.root)
      this.#makeFolder(join(this.pfs, '.scratch'))
    } catch (error) {
      this.remove()
      throw error
    }
  }

  /** What `PFS_DIR` is set to. */
  get pfs(): string {
    return join(this.root, 'pfs')
  }

  /** A new scratch folder. */
  makeScratch(): string {
    const path = join(this.pfs, '.scratch', randomUUID())
    this.#makeFolder(path)
    return path
  }

  async makeFifo(path: string): Promise<void> {
    const mode = this.#fifoMode.toString(8)
    const { status, complaint } = await runProgram('mkfifo', ['-m', mode, path], [], {
      detached: true,
    })
    if (status !== 0) throw new TarspoutError('ERR_STATE', complaint, { path })
  }

  /**
   * `<pfs>/<name>` leads to `target` from now on. A dangling link is replaced, anything else is
   * left alone.
   */
  link(name: string, target: string): void {
    const path = join(this.pfs, name)
    this.#makeFolder(dirname(path))
    const there = lstatSync(path, { throwIfNoEntry: false })
    if (there?.isSymbolicLink() && (this.#links.includes(path) || !existsSync(path))) rmSync(path)
    else if (there !== undefined) {
      throw new TarspoutError(
        'ERR_STATE',
        `${path} is there already; is another run using ${this.root}?`,
        {
          path,
        },
      )
    }
    // Relative, so that it leads there in a container, too.
    symlinkSync(relative(dirname(path), target), path)
    if (!this.#links.includes(path)) this.#links.push(path)
  }

  /** Removes what was made, nothing else. */
  remove(): void {
    for (const path of this.#links) rmSync(path, { force: true })
    if (this.#isTemporary) rmSync(this.root, { recursive: true, force: true })
    for (const path of this.#made.toReversed()) {
      try {
        rmdirSync(path)
      } catch {
        // not empty: not all of it is ours; or gone with the temporary root
      }
    }
  }

  #makeFolder(path: string): void {
    const before = this.#made.length
    makeFolders(path, 0o700, this.#made)
    for (const made of this.#made.slice(before)) this.#letIn(made)
  }

  #letIn(path: string): void {
    const group = this.#fifoMode & 0o060 ? 0o050 : 0
    const others = this.#fifoMode & 0o006 ? 0o005 : 0
    chmodSync(path, 0o700 | group | others)
  }
}
