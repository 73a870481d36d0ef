import { createRequire } from 'node:module'
import type AjvCompiler from '@fastify/ajv-compiler'
import type SerializerSelector from '@fastify/fast-json-stringify-compiler'

/**
 * fastify's own compilers of schemas, which it takes for each route before it listens; here for each route that is
 * called, by its first request. All at once they are a quarter of what a start takes.
 */

const require = createRequire(import.meta.url)

type BuildValidator = ReturnType<typeof AjvCompiler>
type BuildSerializer = ReturnType<typeof SerializerSelector>
type Validate = ((data: unknown) => unknown) & { errors?: unknown }

const buildValidator: BuildValidator = (externalSchemas, options) => {
  const compiler = once(() => {
    const select = require('@fastify/ajv-compiler') as typeof AjvCompiler
    return select()(externalSchemas, options)
  })
  return (route: Parameters<ReturnType<BuildValidator>>[0]) => {
    const compiled = once(() => compiler()(route) as Validate)
    const validate: Validate = data => {
      const isValid = compiled()(data)
      // fastify looks for them on the function that it called.
      validate.errors = compiled().errors
      return isValid
    }
    return validate as ReturnType<ReturnType<BuildValidator>>
  }
}

const buildSerializer: BuildSerializer = (externalSchemas, options) => {
  const compiler = once(() => {
    const select = require('@fastify/fast-json-stringify-compiler') as typeof SerializerSelector
    return select()(externalSchemas, options)
  })
  return route => {
    const compiled = once(() => compiler()(route))
    return data => compiled()(data)
  }
}

/** For fastify's option `schemaController`. */
export const LAZY_COMPILERS = { compilersFactory: { buildValidator, buildSerializer } }

function once<T extends object>(make: () => T): () => T {
  let made: T | null = null
  return () => {
    made ??= make()
    return made
  }
}
