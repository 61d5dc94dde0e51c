/**
 * Polls until the probe gives what the check accepts, at most `limitMs` long. Tests wait for conditions, never for a time
 * that is hoped to be enough.
 */
export async function eventually<Value>(
  probe: () => Value | Promise<Value>,
  accepts: (value: Value) => boolean = Boolean,
  limitMs = 5_000,
): Promise<Value> {
  const endMs = performance.now() + limitMs;
  for (;;) {
    const value = await probe();
    if (accepts(value)) return value;
    if (performance.now() > endMs)
      throw new Error(`not within ${limitMs} ms; the last value was ${JSON.stringify(value)}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
