import { posix } from 'node:path'
import { TarspoutError } from '../base/errors.js'

// Linux's PATH_MAX and NAME_MAX: what is longer could be committed and never checked out again.
const MAX_PATH_BYTES = 4095
const MAX_COMPONENT_BYTES = 255
// git refuses deeper trees from 2.43 on (core.maxTreeDepth), and some of its commands recurse.
const MAX_DEPTH = 1024

/**
 * Go's `path.Clean`, which Pachyderm applies to every name: no `.`, no `//`, no `..` inside, no
 * trailing slash.
 */
export function cleanPath(name: string): string {
  const path = posix.normalize(name)
  return path.length > 1 && path.endsWith('/') ? path.slice(0, -1) : path
}

/**
 * Whether Pachyderm takes an entry of this name for the marker: it compares strings, not path
 * components.
 */
export function isMarkerName(name: string, marker: string | undefined): boolean {
  return marker !== undefined && cleanPath(name).startsWith(marker)
}

/**
 * What keeps a name from being that of the marker, and what to write instead; undefined if nothing
 * does.
 */
export function markerFault(marker: string): { message: string; hint: string } | undefined {
  const [first] = cleanPath(marker).split('/')
  // What the runner and Pachyderm have in the same folder.
  if (first === 'out' || first === '.scratch')
    return { message: `the marker cannot be "${first}"`, hint: 'write another name' }
  try {
    const path = storedPath(marker)
    if (path === marker) return undefined
    return { message: 'the marker is no clean name', hint: `write "${path}"` }
  } catch {
    const hint = 'write a name of printable ASCII without * ? [ ] { } ! ( ) @ + ^'
    return { message: 'the marker is no file name', hint }
  }
}

/**
 * The path an entry is stored under, relative to the root of the repository: `./a`, `/a` and
 * `b/../a` are all `a`.
 *
 * @throws TarspoutError `ERR_ARCHIVE` for a name that Pachyderm refuses, or that git must not
 * store.
 */
export function storedPath(name: string): string {
  const refuse = (why: string) =>
    new TarspoutError('ERR_ARCHIVE', `entry ${show(name)}: ${why}`, { entry: name })
  // pachd checks these in this order (PutFile): leaving the repository, then what is printable,
  // then glob characters.
  if (cleanPath(name).startsWith('../') || cleanPath(name) === '..')
    throw refuse('it leaves the repository')
  const path = cleanPath(`/${name}`).slice(1)
  if (path === '') throw refuse('no name is left once it is cleaned')
  if (!/^[ -~]+$/.test(path)) throw refuse('a name has printable ASCII characters only')
  const glob = /[*?[\]{}!()@+^]/.exec(path)
  if (glob) throw refuse(`the character ${glob[0]} belongs to glob patterns`)
  if (path.length > MAX_PATH_BYTES)
    throw refuse(`${path.length} bytes are more than a path holds (${MAX_PATH_BYTES})`)
  const components = path.split('/')
  if (components.length > MAX_DEPTH)
    throw refuse(`${components.length} folders deep, ${MAX_DEPTH} is the limit`)
  for (const component of components) {
    if (component.length > MAX_COMPONENT_BYTES) {
      throw refuse(
        `a part of ${component.length} bytes is more than a file name holds (${MAX_COMPONENT_BYTES})`,
      )
    }
    if (component.split('\\').some(isGitFolder))
      throw refuse('git keeps its own files under this name')
  }
  return path
}

// What git, on any file system, could take for its own folder: other case, DOS short name, NTFS
// stream, trailing dots and spaces (git's verify_dotfile and is_ntfs_dotgit).
function isGitFolder(part: string): boolean {
  const [plain = ''] = part.split(':')
  return /^(\.git|git~\d+)$/i.test(plain.replace(/[. ]+$/, ''))
}

/** A name for a message: printable ASCII on one line, and not endless. */
export function show(name: string): string {
  const escaped = (character: string) =>
    `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
  const quoted = JSON.stringify(name.slice(0, 200)).replace(/[^ -~]/g, escaped)
  return name.length > 100 ? `${quoted.slice(0, 100)}..." (${name.length} characters)` : quoted
}
