import { camelCase, type FieldType, SPEC_FIELDS } from './spec-fields.js'

/**
 * A JSON schema (draft 7) of the pipeline specification, for editors. Made from the fields that the
 * checks use.
 */
export function specSchema(): object {
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: 'Pipeline specification of Pachyderm 1.9 to 1.13',
    ...typeSchema({ type: 'object', fields: SPEC_FIELDS }),
    required: ['pipeline', 'transform'],
  }
}

function typeSchema(type: FieldType): object {
  switch (type.type) {
    case 'any':
      return {}
    case 'string':
      return { type: ['string', 'null'], ...(type.pattern ? { pattern: type.pattern.source } : {}) }
    case 'boolean':
      return { type: ['boolean', 'null'] }
    case 'integer':
    case 'number':
      // Numbers may come in quotes.
      return {
        type: [type.type, 'string', 'null'],
        ...(type.min === undefined ? {} : { minimum: type.min }),
      }
    case 'list':
      return { type: ['array', 'null'], items: typeSchema(type.of) }
    case 'map':
      return { type: ['object', 'null'], additionalProperties: { type: 'string' } }
    case 'object': {
      const properties: Record<string, object> = {}
      for (const [name, field] of Object.entries(type.fields)) {
        properties[name] = { description: field.about, ...typeSchema(field) }
        properties[camelCase(name)] = properties[name]
      }
      return { type: ['object', 'null'], properties, additionalProperties: false }
    }
  }
}
