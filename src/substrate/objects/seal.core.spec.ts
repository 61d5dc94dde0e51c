import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { digestText } from '../../rails/digest.js';
import { decodeSeal, encodeSeal, SEAL_BYTES, type Seal } from './seal.core.js';

const seals: fc.Arbitrary<Seal> = fc.record({
  digest: fc.string().map(digestText),
  size: fc.maxSafeNat(),
  mediaType: fc.stringMatching(/^[a-z]{1,60}\/[a-z]{1,66}$/),
});

describe('seal', () => {
  it('is read back as it was written', () => {
    fc.assert(
      fc.property(seals, (seal) => {
        const bytes = encodeSeal(seal);
        expect(bytes.byteLength).toBe(SEAL_BYTES);
        expect(decodeSeal(bytes)).toEqual(seal);
      }),
    );
  });

  it('is broken by a change of any bit', () => {
    const bytes = encodeSeal({ digest: digestText('x'), size: 12_345, mediaType: 'text/plain' });
    for (let bit = 0; bit < SEAL_BYTES * 8; bit += 1) {
      const changed = Buffer.from(bytes);
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(decodeSeal(changed)).toBeNull();
    }
  });

  it('is not found in other bytes, nor in a part of it', () => {
    const bytes = encodeSeal({ digest: digestText('x'), size: 0, mediaType: 'text/plain' });
    fc.assert(
      fc.property(fc.uint8Array({ minLength: SEAL_BYTES, maxLength: SEAL_BYTES }), (other) => {
        expect(decodeSeal(other)).toBeNull();
      }),
    );
    expect(decodeSeal(bytes.subarray(1))).toBeNull();
    expect(decodeSeal(Buffer.concat([bytes, Buffer.alloc(1)]))).toBeNull();
  });

  it('can be read by a person', () => {
    const text = encodeSeal({ digest: digestText(''), size: 0, mediaType: 'text/plain' }).toString();
    expect(text.split('\n').map((line) => line.trimEnd())).toEqual([
      'probity-object/1',
      `{"digest":"${digestText('')}","media_type":"text/plain","size":0}`,
      expect.stringMatching(/^[0-9a-f]{64}$/),
      '',
    ]);
  });
});
