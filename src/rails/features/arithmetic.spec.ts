import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { add, quotient, squareRoot, whole } from './arithmetic.js';

const near = fc.oneof(fc.nat(50), fc.integer({ min: 2 ** 50, max: Number.MAX_SAFE_INTEGER }));

describe('exact arithmetic', () => {
  it('adds whole numbers of any size, and gives numbers wherever they are exact', () => {
    fc.assert(
      fc.property(near, near, (a, b) => {
        const sum = add(a, b);
        expect(BigInt(sum)).toBe(BigInt(a) + BigInt(b));
        expect(typeof sum).toBe(Number.isSafeInteger(a + b) ? 'number' : 'bigint');
        expect(BigInt(add(sum, b))).toBe(BigInt(a) + 2n * BigInt(b));
      }),
    );
    expect(whole(3n)).toBe(3);
  });

  it('divides exactly and rounds once', () => {
    fc.assert(
      fc.property(near, near.filter(Boolean), fc.nat(9), (over, under, scale) => {
        const [n, d] = [BigInt(over) * 10n ** BigInt(scale), BigInt(under)];
        const floor = n / d;
        expect(BigInt(quotient(over, under, scale, 'floor'))).toBe(floor);
        expect(BigInt(quotient(over, under, scale, 'half_up'))).toBe((2n * n + d) / (2n * d));
        const even = BigInt(quotient(over, under, scale, 'half_even'));
        // The nearest, and of two equally near the even one.
        const miss = (value: bigint): bigint => (value * d > n ? value * d - n : n - value * d);
        expect(miss(even)).toBeLessThanOrEqual(d / 2n);
        if (miss(floor) === miss(floor + 1n)) expect(even % 2n).toBe(0n);
      }),
    );
    expect([1, 3, 5].map((over) => quotient(over, 2, 0, 'half_even'))).toEqual([0, 2, 2]);
    expect([1, 3, 5].map((over) => quotient(over, 2, 0, 'half_up'))).toEqual([1, 2, 3]);
  });

  it('takes square roots to the whole number below', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 10n ** 60n }), (value) => {
        const root = squareRoot(value);
        expect(root * root <= value && (root + 1n) * (root + 1n) > value).toBe(true);
      }),
    );
  });
});
