import { describe, expect, it } from '@jest/globals';
import { digestText } from './digest.js';

describe('digest', () => {
  it('is the sha-256 of the UTF-8 bytes', () => {
    expect(digestText('abc')).toBe('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
  });
});
