/** The path parameter that names an upload; both cases of hexadecimal are taken, one is kept. */
export const SHA256_PARAMS = {
  type: 'object',
  required: ['sha256'],
  properties: {
    sha256: {
      type: 'string',
      pattern: '^[0-9a-fA-F]{64}$',
      description: 'SHA-256 of the bytes as sent, 64 hexadecimal digits.',
    },
  },
} as const
