import { applyRecipe, type Recipe } from './recipe.ts'

/** Tries of one failing case: a few seconds of small inputs. */
const TRIES_MAX = 400

/** True when the input still fails in the way that is looked for. */
export type StillFails = (bytes: Uint8Array) => Promise<boolean>

/** Leaves out each mutation that the failure does not need. */
export async function minimiseRecipe(recipe: Recipe, stillFails: StillFails): Promise<Recipe> {
  let smallest = recipe
  for (const part of ['outer', 'inner'] as const) {
    for (let index = smallest[part].length - 1; index >= 0; index--) {
      const without = { ...smallest, [part]: smallest[part].toSpliced(index, 1) }
      if (await stillFails(applyRecipe(without))) smallest = without
    }
  }
  return smallest
}

/** Cuts off and takes out pieces, halves first, as long as the failure stays. */
export async function minimiseBytes(bytes: Uint8Array, stillFails: StillFails): Promise<Uint8Array> {
  let smallest = bytes
  let tries = 0
  for (let size = bytes.length >>> 1; size > 0; size >>>= 1) {
    for (let at = smallest.length - size; at >= 0; at -= size) {
      if (++tries > TRIES_MAX) return smallest
      const without = Buffer.concat([smallest.subarray(0, at), smallest.subarray(at + size)])
      if (await stillFails(new Uint8Array(without))) smallest = new Uint8Array(without)
    }
  }
  return smallest
}
