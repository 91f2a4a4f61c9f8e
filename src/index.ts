export { TarspoutError, type TarspoutErrorCode } from './errors.js'
export type { Body, BodyChunk, Entry, EntryFields, EntryType } from './tar/entry.js'
export { encodeHeader } from './tar/header.js'
export { checkName, type NameRules } from './tar/name-rules.js'
