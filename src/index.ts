export { TarspoutError, type TarspoutErrorCode } from './errors.js'
