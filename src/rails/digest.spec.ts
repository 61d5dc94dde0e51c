import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { asDigest, digestBytes, digestText, isDigest, RunningDigest } from './digest.js';

describe('digest', () => {
  it('is the sha-256 of the UTF-8 bytes', () => {
    expect(digestText('abc')).toBe('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
    expect(digestText('')).toBe('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855');
    expect(digestText('é')).toBe(digestBytes(Uint8Array.of(0xc3, 0xa9)));
  });

  it('is the same for bytes that arrive in pieces', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array()), (pieces) => {
        const running = new RunningDigest();
        for (const piece of pieces) running.update(piece);
        const whole = Buffer.concat(pieces);
        expect(running.size).toBe(whole.byteLength);
        expect(running.finish()).toBe(digestBytes(whole));
      }),
    );
  });

  it('is 64 lower-case hex digits and nothing else', () => {
    const hex = digestText('abc');
    expect(asDigest(hex)).toBe(hex);
    for (const text of [hex.toUpperCase(), hex.slice(1), `${hex}0`, `${hex}\n`, `g${hex.slice(1)}`, '']) {
      expect(isDigest(text)).toBe(false);
      expect(() => asDigest(text)).toThrow('VALUE_INVALID');
    }
    expect(isDigest(7)).toBe(false);
  });
});
