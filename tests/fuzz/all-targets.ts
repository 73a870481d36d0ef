import { brokenTarget } from './broken-targets.ts'
import { BATCH_TARGET, collectTarget, rewriteTarget } from './file-targets.ts'
import { decodeTarget, INSPECT_TARGET, readTarget, splitTarget, type Target } from './targets.ts'

/**
 * The targets of the product.
 * @param root existing folder for what targets write
 */
export function allTargets(root: string): readonly Target[] {
  return [
    decodeTarget(),
    readTarget(),
    splitTarget(),
    INSPECT_TARGET,
    collectTarget(root),
    BATCH_TARGET,
    rewriteTarget(root),
  ]
}

/** All targets, or the one of the name; one that is broken on purpose only by its name. Null when there is none. */
export function targetsNamed(name: string | null, root: string): readonly Target[] | null {
  const all = allTargets(root)
  if (name === null) return all
  const found = all.find(target => target.name === name) ?? brokenTarget(name)
  return found === undefined ? null : [found]
}
