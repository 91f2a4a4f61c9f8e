/**
 * Which names a reader takes. `'pachyderm'`: what Pachyderm 1.9 to 1.11 stores as a file of that
 * name; anything else wedges the pipeline or is stored under another name. `'tar'`: what a tar
 * header can hold at all.
 */
export type NameRules = 'pachyderm' | 'tar'

// Pachyderm takes printable ASCII (hashtree ValidatePath) without the characters of its globs.
// Names whose parts are made of those and begin with no dot are good; all others are looked at more
// closely.
const PART = /[ "#$%&',\-0-9:;<=>A-Z\\_`a-z|~][ "#$%&',\-.0-9:;<=>A-Z\\_`a-z|~]*/.source
const PLAIN = new RegExp(`^${PART}(?:/${PART})*$`)
const NOT_PRINTABLE_ASCII = /[^ -~]/
const GLOB = /[*?[\]{}!()@+^]/

/**
 * The rule a name breaks, as the end of a sentence that begins with "the name", or undefined if it
 * breaks none.
 *
 * Source of Pachyderm's rules: pfs server `checkFilePath`, hashtree `ValidatePath` and the glob
 * class of `hashdb`, the same from 1.9.0 to 1.11.9. Throws TypeError if `name` is no string.
 * Stricter than those in three points, where Pachyderm would store the file under another name than
 * the entry has: no slash at the start, none at the end, no `..` anywhere.
 */
export function checkName(name: string, rules: NameRules): string | undefined {
  if (typeof name !== 'string') throw new TypeError(`name must be a string, found ${typeof name}`)
  if (rules === 'pachyderm') return PLAIN.test(name) ? undefined : pachydermRule(name)
  if (name === '') return 'must not be empty'
  return name.includes('\0') ? 'must not contain a NUL' : undefined
}

// What native/tar/plain_name.h allows, but no slash.
const FLAT = new Uint8Array(128)
for (const character of ' #$%&,-.:=_~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz') {
  FLAT[character.charCodeAt(0)] = 1
}

/**
 * Writes a name into `target` from `at` on, a byte a character, if every reader takes it as it
 * stands and it lies in no folder. False: it may be fine all the same, and what was written there
 * means nothing.
 */
export function putFlatName(name: string, target: Uint8Array, at: number): boolean {
  const { length } = name
  if (length === 0 || name.charCodeAt(0) === 46) return false
  for (let i = 0; i < length; i++) {
    const character = name.charCodeAt(i)
    if (FLAT[character] !== 1) return false
    target[at + i] = character
  }
  return true
}

function pachydermRule(name: string): string | undefined {
  if (name === '') return 'must not be empty'
  const unprintable = NOT_PRINTABLE_ASCII.exec(name)
  if (unprintable) {
    return `must be printable ASCII, which Pachyderm requires; found ${JSON.stringify(unprintable[0])} at ${unprintable.index}`
  }
  const glob = GLOB.exec(name)
  if (glob) {
    return `must not contain any of * ? [ ] { } ! ( ) @ + ^, which are glob characters to Pachyderm; found ${glob[0]} at ${glob.index}`
  }
  if (name.startsWith('/')) return 'must not begin with a slash'
  if (name.endsWith('/'))
    return 'must not end in a slash: Pachyderm makes a file of it, never a directory'
  const parts = name.split('/')
  if (parts.includes('..')) return 'must not contain the part ..'
  if (parts.every((part) => part === '' || part === '.'))
    return 'must not be empty once . and // are removed'
  return undefined
}
