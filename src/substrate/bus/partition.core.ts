/**
 * Kafka's murmur2 over the key's bytes: the 32-bit variant with seed 0x9747b28c that its Java client uses.
 * Both adapters and every foreign producer must agree on it, or one key's events would lie in two partitions and lose
 * their order.
 */
export function murmur2(bytes: Uint8Array): number {
  const multiplier = 0x5bd1e995;
  const words = bytes.length >>> 2;
  let hash = 0x9747b28c ^ bytes.length;
  for (let word = 0; word < words; word += 1) {
    const at = word << 2;
    // Reading past the end cannot happen: `words` counts whole groups of four.
    let mixed =
      (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8) | ((bytes[at + 2] ?? 0) << 16) | ((bytes[at + 3] ?? 0) << 24);
    mixed = Math.imul(mixed, multiplier);
    mixed ^= mixed >>> 24;
    mixed = Math.imul(mixed, multiplier);
    hash = Math.imul(hash, multiplier) ^ mixed;
  }
  const tail = words << 2;
  const rest = bytes.length - tail;
  if (rest >= 3) hash ^= (bytes[tail + 2] ?? 0) << 16;
  if (rest >= 2) hash ^= (bytes[tail + 1] ?? 0) << 8;
  if (rest >= 1) hash = Math.imul(hash ^ (bytes[tail] ?? 0), multiplier);
  hash ^= hash >>> 13;
  hash = Math.imul(hash, multiplier);
  hash ^= hash >>> 15;
  return hash | 0;
}

/**
 * The partition that a key belongs to: Kafka's default, so a topic can be read and written by any Kafka client.
 * @param partitions at least 1
 */
export function partitionFor(key: string, partitions: number): number {
  return (murmur2(new TextEncoder().encode(key)) & 0x7fffffff) % partitions;
}
