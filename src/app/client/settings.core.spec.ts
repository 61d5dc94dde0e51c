import { describe, expect, it } from '@jest/globals';
import { paceOf } from './pace.js';
import { withSettings } from './settings.core.js';

const PACK = { days: 30, customers: { count: 500, growth: 0.1 }, title: 'small', tags: ['a'] };

describe('setting values of a parameter pack', () => {
  it('sets by path, numbers as numbers and text as text, and leaves the pack alone', () => {
    expect(withSettings(PACK, ['customers.count=1000', 'days=7', 'title=mine', 'tags=["b"]'])).toEqual({
      ok: true,
      parameters: { days: 7, customers: { count: 1000, growth: 0.1 }, title: 'mine', tags: ['b'] },
    });
    expect(PACK.customers.count).toBe(500);
  });

  it.each([
    ['days', 'write name=value'],
    ['=7', 'write name=value'],
    ['custmers.count=7', 'the pack has no "custmers"'],
    ['customers.number=7', 'customers has no "number"; it has count, growth'],
    ['days.count=7', '"days" is one value'],
    ['tags.0=x', '"tags" is one value'],
    ['__proto__.x=1', 'the pack has no "__proto__"'],
    ['constructor.name=x', 'the pack has no "constructor"'],
  ])('refuses %s, and says what there is', (setting, says) => {
    const applied = withSettings(PACK, [setting]);
    expect(applied.ok ? 'accepted' : applied.says).toContain(says);
  });
});

describe('the pace of a stream', () => {
  it.each([
    ['fast', { mode: 'as_fast_as_accepted' }],
    ['realtime', { mode: 'speed_up', factor: 1 }],
    ['60x', { mode: 'speed_up', factor: 60 }],
    ['0.5x', { mode: 'speed_up', factor: 0.5 }],
    ['1000000x', { mode: 'speed_up', factor: 1_000_000 }],
  ])('reads %s', (text, pace) => {
    expect(paceOf(text)).toEqual(pace);
  });

  it.each(['', '60', 'x', '0x', '0.000x', '-1x', '1e3x', '1000001x', 'slow'])('refuses "%s"', (text) => {
    expect(paceOf(text)).toBeUndefined();
  });
});
