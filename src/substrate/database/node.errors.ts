/**
 * The code of an error that Node's own modules threw: `ENOENT`, `EACCES` … Asked by shape and not by `instanceof`: where
 * code runs in another realm than Node's modules, as under a test runner, their errors are nobody's instances.
 */
export function nodeErrorCode(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}
