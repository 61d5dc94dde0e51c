import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { murmur2, partitionFor } from './partition.core.js';

describe('murmur2', () => {
  // The vectors of Kafka's own UtilsTest.testMurmur2.
  it.each([
    ['21', -973932308],
    ['foobar', -790332482],
    ['a-little-bit-long-string', -985981536],
    ['a-little-bit-longer-string', -1486304829],
    ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
    ['abc', 479470107],
  ])('of %s is what the Java client computes', (text, hash) => {
    expect(murmur2(new TextEncoder().encode(text))).toBe(hash);
  });

  it('is a 32-bit whole number for any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        const hash = murmur2(bytes);
        expect(hash).toBe(hash | 0);
      }),
    );
  });
});

describe('partitionFor', () => {
  it('names one of the partitions, always the same for a key', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.integer({ min: 1, max: 1_000 }), (key, partitions) => {
        const partition = partitionFor(key, partitions);
        expect(Number.isInteger(partition) && partition >= 0 && partition < partitions).toBe(true);
        expect(partitionFor(key, partitions)).toBe(partition);
      }),
    );
  });

  it('spreads keys over all partitions', () => {
    const counts = new Array<number>(12).fill(0);
    for (let key = 0; key < 12_000; key += 1) {
      const partition = partitionFor(`account-${key}`, 12);
      counts[partition] = (counts[partition] ?? 0) + 1;
    }
    // 1,000 each in the mean; five standard deviations of a binomial (√(12000·1/12·11/12) ≈ 30) are 150.
    for (const count of counts) expect(Math.abs(count - 1_000)).toBeLessThan(150);
  });
});
