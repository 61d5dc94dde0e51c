import { Type } from '@sinclair/typebox';
import { type Brand } from './brand.js';
import { ProbityError } from './errors/probity-error.js';
import { brandedText, closed, type Sealed } from './schema.js';
import { validatorOf } from './validator.js';

/** Names the sealed world: the digest of its manifest. */
export type ManifestFingerprint = Brand<string, 'ManifestFingerprint'>;
/** The digest of the parameter pack that the world was made with. */
export type ParameterHash = Brand<string, 'ParameterHash'>;
/**
 * An unsigned 64-bit number as decimal text without leading zeros. Text, since a JSON number above 2^53 is rounded by most
 * readers: 9007199254740993 becomes …992, and two different worlds would pass for one.
 */
export type Seed = Brand<string, 'Seed'>;
export type ScenarioId = Brand<string, 'ScenarioId'>;
/** 32 lower-case hex digits. */
export type RunId = Brand<string, 'RunId'>;

const NO_WORLD_FINGERPRINT = '0'.repeat(64);
const SEED_MAX = 2n ** 64n - 1n;
const HEX64 = '^[0-9a-f]{64}$';

/**
 * A pattern for the whole numbers up to `max`, since a schema cannot compare texts: the number has fewer digits, or it
 * shares the first digits with `max` and is smaller at the next, or it is `max`.
 */
function upTo(max: bigint): string {
  const digits = max.toString();
  const smaller = Array.from(digits, Number).flatMap((digit, i) => {
    const lowest = i === 0 ? 1 : 0;
    return digit <= lowest ? [] : [`${digits.slice(0, i)}[${lowest}-${digit - 1}][0-9]{${digits.length - i - 1}}`];
  });
  return `^(0|[1-9][0-9]{0,${digits.length - 2}}|${smaller.join('|')}|${digits})$`;
}

// Zeros never stand for "I do not know": absent provenance is absent (a made-up hash would join strangers).
const notZeros = (digits: number) => ({ not: { const: '0'.repeat(digits) } });

export const ManifestFingerprintSchema = brandedText<ManifestFingerprint>({
  pattern: HEX64,
  description: 'digest of the world manifest; 64 zeros say that the fact belongs to no world',
});
export const ParameterHashSchema = brandedText<ParameterHash>({
  pattern: HEX64,
  ...notZeros(64),
  description: 'digest of the parameter pack',
});
export const SeedSchema = brandedText<Seed>({
  pattern: upTo(SEED_MAX),
  description: 'unsigned 64-bit number as decimal text without leading zeros',
});
export const ScenarioIdSchema = brandedText<ScenarioId>({
  // The characters of an object key's segment: scenario ids stand in the paths of a world's objects.
  pattern: '^[a-z0-9][a-z0-9._-]{0,99}$',
  description: 'name of the scenario',
});
export const RunIdSchema = brandedText<RunId>({
  pattern: '^[0-9a-f]{32}$',
  ...notZeros(32),
  description: 'the run, as 32 hex digits',
});

export const RunPinsSchema = closed({
  manifest_fingerprint: brandedText<ManifestFingerprint>({
    pattern: HEX64,
    ...notZeros(64),
    description: 'digest of the world manifest',
  }),
  parameter_hash: ParameterHashSchema,
  seed: SeedSchema,
  scenario_id: ScenarioIdSchema,
  run_id: RunIdSchema,
});

export const NoWorldPinsSchema = closed({
  manifest_fingerprint: Type.Unsafe<ManifestFingerprint>(Type.Literal(NO_WORLD_FINGERPRINT)),
  no_world: Type.Literal(true),
});

export const ContextPinsSchema = Type.Union([RunPinsSchema, NoWorldPinsSchema], {
  description:
    'The world and run that a fact belongs to (law R1): all five pins, or the statement that it belongs to none.',
});

/** The world and run that a fact belongs to (law R1). */
export type RunPins = Sealed<typeof RunPinsSchema>;
/** Of facts about the platform itself (policies, registry): they say that they belong to no world. */
export type NoWorldPins = Sealed<typeof NoWorldPinsSchema>;
export type ContextPins = RunPins | NoWorldPins;
export type PinName = keyof RunPins;

export const NO_WORLD: NoWorldPins = Object.freeze({
  manifest_fingerprint: NO_WORLD_FINGERPRINT as ManifestFingerprint,
  no_world: true,
});

export const PIN_NAMES = [
  'manifest_fingerprint',
  'parameter_hash',
  'seed',
  'scenario_id',
  'run_id',
] as const satisfies readonly PinName[];

/** Pins that identify the world itself; a second run of the same world differs in `run_id` alone. */
const WORLD_PIN_NAMES = PIN_NAMES.filter((name) => name !== 'run_id');

const pins = validatorOf(ContextPinsSchema, 'the pins');
const runPins = validatorOf(RunPinsSchema, 'the pins');

export type PinsVerdict =
  | { readonly ok: true; readonly pins: ContextPins }
  | { readonly ok: false; readonly reason: 'PINS_MISSING' | 'PINS_INVALID'; readonly names: readonly PinName[] };

/**
 * The pins that lie flat in an envelope or a record, or why there are none: for boundaries that quarantine with a reason.
 * 64 zeros as fingerprint and no other pin is the statement NO_WORLD; zeros beside other pins contradict themselves.
 */
export function pinsIn(fields: Readonly<Partial<Record<PinName, unknown>>>): PinsVerdict {
  const present = PIN_NAMES.filter((name) => fields[name] !== undefined);
  if (fields.manifest_fingerprint === NO_WORLD_FINGERPRINT) {
    const contradicting = present.filter((name) => name !== 'manifest_fingerprint');
    if (contradicting.length === 0) return { ok: true, pins: NO_WORLD };
    return { ok: false, reason: 'PINS_INVALID', names: contradicting };
  }
  if (present.length < PIN_NAMES.length) {
    return { ok: false, reason: 'PINS_MISSING', names: PIN_NAMES.filter((name) => !present.includes(name)) };
  }
  const { manifest_fingerprint, parameter_hash, run_id, scenario_id, seed } = fields;
  const verdict = runPins.check({ manifest_fingerprint, parameter_hash, run_id, scenario_id, seed });
  if (verdict.ok) return { ok: true, pins: verdict.value };
  return { ok: false, reason: 'PINS_INVALID', names: PIN_NAMES.filter((name) => verdict.fault.at === `/${name}`) };
}

/** @throws ProbityError VALUE_INVALID that names the place */
export function asPins(value: unknown): ContextPins {
  return pins.demand(value);
}

export function isNoWorld(value: ContextPins): value is NoWorldPins {
  return 'no_world' in value;
}

/** Law R1: two facts are joined only where all pins agree. What belongs to no world joins only with its like. */
export function joinable(a: ContextPins, b: ContextPins): boolean {
  return differingPins(a, b).length === 0;
}

/** The pins that forbid a join, for reason codes and errors that say which. */
export function differingPins(a: ContextPins, b: ContextPins): readonly PinName[] {
  return differing(PIN_NAMES, a, b);
}

/** Whether both belong to the same world, be it in different runs. Not enough for a join: see `joinable`. */
export function sameWorld(a: ContextPins, b: ContextPins): boolean {
  return differing(WORLD_PIN_NAMES, a, b).length === 0;
}

function differing(names: readonly PinName[], a: ContextPins, b: ContextPins): readonly PinName[] {
  const left: Partial<RunPins> = a;
  const right: Partial<RunPins> = b;
  return names.filter((name) => left[name] !== right[name]);
}

/** @throws ProbityError VALUE_INVALID unless it is an unsigned 64-bit number */
export function seedOf(value: bigint): Seed {
  if (value < 0n || value > SEED_MAX)
    throw new ProbityError('VALUE_INVALID', 'a seed is a whole number from 0 to 2^64 − 1');
  return value.toString() as Seed;
}
