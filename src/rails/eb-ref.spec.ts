import { describe, expect, it } from '@jest/globals';
import { asEbRef, asOffset, asTopicName } from './eb-ref.js';

describe('an eb_ref', () => {
  it('names topic, partition and offset', () => {
    const ref = { topic: 'fp.bus.traffic.v1', partition: 3, offset: 9_007_199_254_740_991 };
    expect(asEbRef(ref)).toEqual(ref);
  });

  it.each([
    { topic: '../x', partition: 0, offset: 0 },
    { topic: 't', partition: -1, offset: 0 },
    { topic: 't', partition: 0, offset: -1 },
    { topic: 't', partition: 0, offset: '7' },
    { topic: 't', partition: 0, offset: 9_007_199_254_740_992 },
    { topic: 't', partition: 0, offset: 0, group: 'g' },
    { topic: 't', partition: 0 },
  ])('is not %j', (value) => {
    expect(() => asEbRef(value)).toThrow('VALUE_INVALID');
  });
});

describe('an offset', () => {
  it.each([
    [0, 0],
    ['4711', 4711],
    [4711n, 4711],
    ['9007199254740991', 9_007_199_254_740_991],
  ])('is read from %p', (value, offset) => {
    expect(asOffset(value)).toBe(offset);
  });

  it.each([-1, -0, 1.5, Number.NaN, 2 ** 53, '', ' 1', '1e3', '0x1', '-1', '01', '9007199254740992', 2n ** 53n, -1n])(
    'is not %p',
    (value) => {
      expect(() => asOffset(value)).toThrow('VALUE_INVALID');
    },
  );
});

describe('a topic name', () => {
  it.each(['fp.bus.traffic.v1', 'a', 'A_b-c.9', 'x'.repeat(249)])('may be %s', (text) => {
    expect(asTopicName(text)).toBe(text);
  });

  it.each(['', '.', '..', '.hidden', 'a/b', 'a b', 'x'.repeat(250), 'a\n'])('may not be %j', (text) => {
    expect(() => asTopicName(text)).toThrow('VALUE_INVALID');
  });
});
