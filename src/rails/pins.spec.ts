import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import {
  asPins,
  differingPins,
  isNoWorld,
  joinable,
  NO_WORLD,
  PIN_NAMES,
  pinsIn,
  RunPinsSchema,
  sameWorld,
  seedOf,
  type PinName,
  type RunPins,
} from './pins.js';
import { validatorOf } from './validator.js';

const UINT64_MAX = 2n ** 64n - 1n;

const flat = {
  manifest_fingerprint: 'a'.repeat(64),
  parameter_hash: 'b'.repeat(64),
  seed: '18446744073709551615',
  scenario_id: 'baseline.v1',
  run_id: 'c'.repeat(32),
};
const runPins = validatorOf(RunPinsSchema, 'the pins');
const pins = runPins.demand(flat);

/** Pins from few values each, so that equal ones come up. */
const somePins: fc.Arbitrary<RunPins> = fc
  .record({
    manifest_fingerprint: fc.constantFrom('a'.repeat(64), 'b'.repeat(64)),
    parameter_hash: fc.constantFrom('a'.repeat(64), 'b'.repeat(64)),
    seed: fc.constantFrom('0', '9007199254740993'),
    scenario_id: fc.constantFrom('x', 'y'),
    run_id: fc.constantFrom('a'.repeat(32), 'b'.repeat(32)),
  })
  .map((value) => runPins.demand(value));

describe('pins of a run', () => {
  it('are all five', () => {
    expect(asPins(flat)).toEqual(flat);
    expect(pinsIn({ ...flat, event_id: 'e' } as typeof flat)).toEqual({ ok: true, pins: flat });
  });

  it.each(PIN_NAMES)('without %s are missing, and it is named', (name) => {
    const { [name]: _left, ...rest } = flat;
    expect(pinsIn(rest)).toEqual({ ok: false, reason: 'PINS_MISSING', names: [name] });
    expect(() => asPins(rest)).toThrow('VALUE_INVALID');
  });

  it.each<[PinName, unknown]>([
    ['manifest_fingerprint', 'A'.repeat(64)],
    ['manifest_fingerprint', 'a'.repeat(63)],
    ['parameter_hash', '0'.repeat(64)],
    ['parameter_hash', `${'a'.repeat(64)}\n`],
    ['seed', 7],
    ['seed', '18446744073709551616'],
    ['seed', '07'],
    ['seed', '-1'],
    ['seed', ''],
    ['scenario_id', 'Base Line'],
    ['scenario_id', ''],
    ['run_id', '0'.repeat(32)],
    ['run_id', 'c'.repeat(64)],
    ['run_id', null],
  ])('with %s %j are invalid, and it is named', (name, value) => {
    expect(pinsIn({ ...flat, [name]: value })).toEqual({ ok: false, reason: 'PINS_INVALID', names: [name] });
    expect(() => asPins({ ...flat, [name]: value })).toThrow('VALUE_INVALID');
  });
});

describe('a seed', () => {
  it('is any unsigned 64-bit number and nothing else', () => {
    const near = fc.bigInt({ min: UINT64_MAX - 2000n, max: UINT64_MAX + 2000n });
    // Numbers that share a beginning with the largest one and differ at one place: where the pattern could be wrong.
    const bent = fc
      .tuple(fc.nat(19), fc.nat(9), fc.bigInt({ min: 0n, max: 10n ** 20n }))
      .map(([at, digit, rest]) =>
        BigInt(`${UINT64_MAX.toString().slice(0, at)}${digit}${rest.toString().padStart(20, '0')}`.slice(0, 20)),
      );
    const any = fc.bigInt({ min: 0n, max: 10n ** 21n });
    fc.assert(
      fc.property(fc.oneof(near, bent, any), (n) => {
        expect(pinsIn({ ...flat, seed: n.toString() }).ok).toBe(n <= UINT64_MAX);
      }),
      { numRuns: 2000 },
    );
  });

  it('is made of a big integer', () => {
    expect(seedOf(UINT64_MAX)).toBe('18446744073709551615');
    expect(seedOf(0n)).toBe('0');
    expect(() => seedOf(UINT64_MAX + 1n)).toThrow('VALUE_INVALID');
    expect(() => seedOf(-1n)).toThrow('VALUE_INVALID');
  });

  it('is text, because numbers would take two seeds for one', () => {
    expect(Number('9007199254740993')).toBe(Number('9007199254740992'));
    const other = { ...pins, seed: seedOf(9_007_199_254_740_993n) };
    expect(joinable({ ...pins, seed: seedOf(9_007_199_254_740_992n) }, other)).toBe(false);
  });
});

describe('a fact of no world', () => {
  it('says so', () => {
    expect(NO_WORLD).toEqual({ manifest_fingerprint: '0'.repeat(64), no_world: true });
    expect(asPins({ ...NO_WORLD })).toEqual(NO_WORLD);
    expect(pinsIn({ manifest_fingerprint: NO_WORLD.manifest_fingerprint })).toEqual({ ok: true, pins: NO_WORLD });
    expect(isNoWorld(NO_WORLD)).toBe(true);
    expect(isNoWorld(pins)).toBe(false);
  });

  it('does not say so by leaving something out', () => {
    expect(() => asPins({ manifest_fingerprint: NO_WORLD.manifest_fingerprint })).toThrow('VALUE_INVALID');
    expect(() => asPins({ no_world: true })).toThrow('VALUE_INVALID');
    expect(() => asPins({ ...flat, no_world: true })).toThrow('VALUE_INVALID');
    expect(pinsIn({})).toMatchObject({ reason: 'PINS_MISSING' });
  });

  it('names no run', () => {
    expect(pinsIn({ ...flat, manifest_fingerprint: NO_WORLD.manifest_fingerprint })).toEqual({
      ok: false,
      reason: 'PINS_INVALID',
      names: ['parameter_hash', 'seed', 'scenario_id', 'run_id'],
    });
    expect(() => asPins({ ...flat, manifest_fingerprint: NO_WORLD.manifest_fingerprint })).toThrow('VALUE_INVALID');
  });
});

describe('joining', () => {
  it('is allowed where all five agree, and nowhere else', () => {
    fc.assert(
      fc.property(somePins, somePins, (a, b) => {
        expect(joinable(a, b)).toBe(PIN_NAMES.every((name) => a[name] === b[name]));
        expect(differingPins(a, b)).toEqual(PIN_NAMES.filter((name) => a[name] !== b[name]));
      }),
    );
  });

  it('is an equivalence', () => {
    fc.assert(
      fc.property(somePins, somePins, somePins, (a, b, c) => {
        expect(joinable(a, { ...a })).toBe(true);
        expect(joinable(a, b)).toBe(joinable(b, a));
        if (joinable(a, b) && joinable(b, c)) expect(joinable(a, c)).toBe(true);
      }),
    );
  });

  it('is not allowed across runs of one world, which is still one world', () => {
    const other = { ...pins, run_id: asRunId('d'.repeat(32)) };
    expect(joinable(pins, other)).toBe(false);
    expect(differingPins(pins, other)).toEqual(['run_id']);
    expect(sameWorld(pins, other)).toBe(true);
    expect(sameWorld(pins, { ...pins, seed: seedOf(1n) })).toBe(false);
  });

  it('keeps facts of no world to themselves', () => {
    expect(joinable(NO_WORLD, pins)).toBe(false);
    expect(sameWorld(NO_WORLD, pins)).toBe(false);
    expect(joinable(NO_WORLD, asPins({ ...NO_WORLD }))).toBe(true);
  });
});

function asRunId(text: string): RunPins['run_id'] {
  return runPins.demand({ ...flat, run_id: text }).run_id;
}
