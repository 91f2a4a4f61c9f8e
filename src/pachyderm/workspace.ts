import { randomUUID } from 'node:crypto'
import { existsSync, lstatSync, mkdirSync, mkdtempSync, rmdirSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, relative, resolve } from 'node:path'
import { TarspoutError } from '../errors.js'
import { makeFolders } from './folders.js'
import { runProgram } from './program.js'

/** The folders that Pachyderm gives a pipeline, under `<root>/pfs`; a temporary root goes with it. */
export class Workspace {
  readonly root: string
  readonly #isTemporary: boolean
  readonly #made: string[] = []
  readonly #links: string[] = []

  /**
   * @param root `/` serves programs that have `/pfs/out` written into them; by default a new temporary folder.
   * @throws what mkdir(2) says
   */
  constructor(root: string | undefined) {
    this.#isTemporary = root === undefined
    this.root = root === undefined ? mkdtempSync(join(tmpdir(), 'tarspout-')) : resolve(root)
    try {
      makeFolders(join(this.pfs, '.scratch'), 0o700, this.#made)
    } catch (error) {
      this.remove()
      throw error
    }
  }

  /** What `PFS_DIR` is set to. */
  get pfs(): string {
    return join(this.root, 'pfs')
  }

  /** A new scratch folder (0700). */
  makeScratch(): string {
    const path = join(this.pfs, '.scratch', randomUUID())
    mkdirSync(path, { mode: 0o700 })
    return path
  }

  /** `<pfs>/<name>` leads to `target` from now on. A dangling link is replaced, anything else is left alone. */
  link(name: string, target: string): void {
    const path = join(this.pfs, name)
    mkdirSync(dirname(path), { recursive: true })
    const there = lstatSync(path, { throwIfNoEntry: false })
    if (there?.isSymbolicLink() && (this.#links.includes(path) || !existsSync(path))) rmSync(path)
    else if (there !== undefined) {
      throw new TarspoutError('ERR_STATE', `${path} is there already; is another run using ${this.root}?`, {
        path,
      })
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
}

/** Makes a FIFO that only its owner may open. */
export async function makeFifo(path: string): Promise<void> {
  const { status, complaint } = await runProgram('mkfifo', ['-m', '600', path])
  if (status !== 0) throw new TarspoutError('ERR_STATE', complaint || `mkfifo ended with ${status}`, { path })
}
