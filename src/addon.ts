import { createRequire } from 'node:module'
import { TarspoutError } from './errors.js'

const require = createRequire(import.meta.url)

/** What native/binding exports. Arguments are checked before they get here; native code re-checks only what would be unsafe. */
export interface Addon {
  /**
   * Encodes a header into `target` from `offset` on. Returns its bytes; if that is more than `target` has there, nothing
   * was written. An entry no format can hold gives the reasons instead: field, reason, index of the pax record, field, ...
   *
   * Text is well-formed, numbers are safe integers, `typeflag` is a character code, `pax` is key, value, key, value, ...
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
}

function load(): Addon {
  const causes: unknown[] = []
  // Static requires, so that bundlers see them. A checkout has its own build; the published package ships prebuilds.
  const places = [
    () => require('../build/Release/tarspout.node'),
    () => require('../prebuilds/linux-x64/tarspout.node'),
  ]
  for (const place of places) {
    try {
      return place() as Addon
    } catch (cause) {
      causes.push(cause)
    }
  }
  throw new TarspoutError(
    'ERR_ADDON_LOAD',
    `tarspout's native addon could not be loaded on ${process.platform}-${process.arch}, Node ${process.version}. ` +
      'Linux on x64 is supported. In a checkout, build it: `npm run build` (needs a C++20 compiler, make and python3). ' +
      `Causes: ${causes.map((cause) => (cause as Error).message.split('\n')[0]).join('; ')}`,
    { cause: causes[0] },
  )
}

/** The addon, loaded once per environment. */
export const addon: Addon = load()
