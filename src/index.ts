export { TarspoutError, type TarspoutErrorCode } from './errors.js'
export { type PipelineSpec, parsePipelineSpec } from './pachyderm/spec.js'
export { SpecError, type SpecFault } from './pachyderm/spec-source.js'
