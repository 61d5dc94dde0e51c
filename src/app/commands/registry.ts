import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { RegistryDone } from '../../modules/model-registry/model-registry.port.js';
import { ProbityError } from '../../rails/errors/probity-error.js';
import type { RegistryFact } from '../../rails/events/registry-fact.schema.js';
import { asRef, type Ref } from '../../rails/ref.js';
import { type BundleName, RegistryApi } from '../client/registry-api.js';
import { throughDoor } from '../client/through-door.js';
import { EXIT, type ExitCode } from '../exit-codes.js';
import type { DoorFlags } from '../flags.js';
import { table, type Terminal } from '../terminal.js';
import type { UnitTable } from '../unit-table.js';
import { readBundle } from './bundle-file.js';

export interface RegistryDoFlags extends DoorFlags {
  readonly reason: string;
  readonly key?: string;
}
export interface RegistryPublishFlags extends RegistryDoFlags {
  readonly evidence?: string;
}
export interface RegistrySlotFlags extends RegistryDoFlags {
  readonly slot: string;
  readonly seen?: number;
  readonly to?: string;
}
export interface RegistryListFlags extends DoorFlags {
  readonly limit: number;
  readonly cursor?: string;
}
export interface RegistryResolveFlags extends DoorFlags {
  readonly slot: string;
  readonly asOf?: string;
  readonly asOfSeq?: number;
}

type Work = (registry: RegistryApi) => Promise<RegistryDone>;

const once = ({ reason, key }: RegistryDoFlags) => ({ reason, idempotency_key: key ?? randomUUID() });

/** `fraud@3` */
export function bundleName(text: string): BundleName {
  const [, bundle_id = '', version = ''] = /^([a-z][a-z0-9._-]{0,99})@([1-9][0-9]{0,8})$/.exec(text) ?? [];
  if (bundle_id === '') throw new ProbityError('CONFIG_INVALID', `${text} names no version: write ID@VERSION`);
  return { bundle_id, bundle_version: Number(version) };
}

/** Registers a bundle, with what speaks for it where there is anything. */
export async function publishBundle(
  units: UnitTable,
  file: string,
  flags: RegistryPublishFlags,
  terminal: Terminal,
): Promise<ExitCode> {
  const bundle = readBundle(file);
  const evidence = flags.evidence === undefined ? NOTHING : evidenceIn(flags.evidence);
  return await done(units, flags, terminal, (registry) => registry.publish({ bundle, ...evidence, ...once(flags) }));
}

export async function approveBundle(
  units: UnitTable,
  name: string,
  flags: RegistryDoFlags,
  terminal: Terminal,
): Promise<ExitCode> {
  const bundle = bundleName(name);
  return await done(units, flags, terminal, (registry) => registry.approve({ bundle, ...once(flags) }));
}

/** What was active is looked at just before, unless it was seen earlier: two who act at once do not both win. */
export async function promoteBundle(
  units: UnitTable,
  name: string,
  flags: RegistrySlotFlags,
  terminal: Terminal,
): Promise<ExitCode> {
  const bundle = bundleName(name);
  const { slot } = flags;
  return await done(units, flags, terminal, async (registry) => {
    const expected_seq = flags.seen ?? (await registry.explain(slot)).slot_seq;
    return await registry.promote({ bundle, slot, expected_seq, ...once(flags) });
  });
}

export async function rollBackBundle(
  units: UnitTable,
  flags: RegistrySlotFlags,
  terminal: Terminal,
): Promise<ExitCode> {
  const { slot, to } = flags;
  const named = to === undefined ? {} : { bundle: bundleName(to) };
  return await done(units, flags, terminal, async (registry) => {
    const expected_seq = flags.seen ?? (await registry.explain(slot)).slot_seq;
    return await registry.rollBack({ ...named, slot, expected_seq, ...once(flags) });
  });
}

export async function retireBundle(
  units: UnitTable,
  name: string,
  flags: RegistryDoFlags,
  terminal: Terminal,
): Promise<ExitCode> {
  const bundle = bundleName(name);
  return await done(units, flags, terminal, (registry) => registry.retire({ bundle, ...once(flags) }));
}

export async function listBundles(units: UnitTable, flags: RegistryListFlags, terminal: Terminal): Promise<ExitCode> {
  return await throughDoor({ table: units, flags, terminal, name: 'registry', roles: ['mpr'] }, async ({ api }) => {
    const page = await new RegistryApi(api).bundles({ limit: flags.limit, cursor: flags.cursor });
    terminal.answer(page, [
      ...table(
        ['BUNDLE', 'STATE', 'ACTIVE IN', 'DIGEST', 'PUBLISHED BY', 'AT', 'INELIGIBLE'],
        page.bundles.map(({ bundle, state, active_in, ineligible, published_by, published_at_utc }) => [
          ...[nameOf(bundle), state, active_in.join(',') || '-', short(bundle.digest)],
          ...[
            published_by,
            published_at_utc,
            ineligible.map((code) => code.replace('INELIGIBLE_', '')).join(',') || '-',
          ],
        ]),
      ),
      ...(page.next_cursor === undefined ? [] : [`There are more: --cursor ${page.next_cursor}`]),
    ]);
    return EXIT.OK;
  });
}

export async function showBundle(
  units: UnitTable,
  name: string,
  flags: DoorFlags,
  terminal: Terminal,
): Promise<ExitCode> {
  const bundle = bundleName(name);
  return await throughDoor({ table: units, flags, terminal, name: 'registry', roles: ['mpr'] }, async ({ api }) => {
    const shown = await new RegistryApi(api).show(bundle);
    const last = shown.facts.at(-1);
    const ineligible = shown.facts.flatMap((fact) => fact.ineligible ?? []);
    terminal.answer(shown, [
      `Bundle ${name}: ${last?.to_state ?? 'unknown'}, digest ${last?.bundle.digest ?? ''}`,
      ...ineligible.map((code) => `  cannot be put forward: ${code}`),
      '',
      ...factLines(shown.facts),
    ]);
    return EXIT.OK;
  });
}

export async function explainSlot(
  units: UnitTable,
  slot: string,
  flags: DoorFlags,
  terminal: Terminal,
): Promise<ExitCode> {
  return await throughDoor({ table: units, flags, terminal, name: 'registry', roles: ['mpr'] }, async ({ api }) => {
    const explained = await new RegistryApi(api).explain(slot);
    const { resolution, because } = explained;
    terminal.answer(explained, [
      resolution.status === 'ACTIVE'
        ? `${nameOf(resolution.bundle)} (${short(resolution.bundle.digest)}) is active in ${slot}, by fact ${resolution.activation.registry_seq}:`
        : `Nothing is active in ${slot}: the rules alone decide there.`,
      ...(because.length === 0 ? [] : ['', ...factLines(because)]),
    ]);
    return EXIT.OK;
  });
}

export async function resolveSlot(
  units: UnitTable,
  flags: RegistryResolveFlags,
  terminal: Terminal,
): Promise<ExitCode> {
  return await throughDoor({ table: units, flags, terminal, name: 'registry', roles: ['mpr'] }, async ({ api }) => {
    const { slot, asOf, asOfSeq } = flags;
    const resolved = await new RegistryApi(api).resolve({ slot, as_of: asOf, as_of_seq: asOfSeq });
    const [resolution] = resolved.resolutions;
    terminal.answer(resolved, [
      resolution?.status === 'ACTIVE'
        ? `${nameOf(resolution.bundle)}  ${resolution.bundle.digest}  by fact ${resolution.activation.registry_seq}, as of fact ${resolved.registry_seq}`
        : `NO_ACTIVE, as of fact ${resolved.registry_seq}`,
    ]);
    return EXIT.OK;
  });
}

export async function registryLog(units: UnitTable, flags: RegistryListFlags, terminal: Terminal): Promise<ExitCode> {
  return await throughDoor({ table: units, flags, terminal, name: 'registry', roles: ['mpr'] }, async ({ api }) => {
    const page = await new RegistryApi(api).facts({ limit: flags.limit, cursor: flags.cursor });
    terminal.answer(page, [
      ...factLines(page.facts),
      ...(page.facts.length < flags.limit ? [] : [`There may be more: --cursor ${page.cursor}`]),
    ]);
    return EXIT.OK;
  });
}

async function done(units: UnitTable, flags: DoorFlags, terminal: Terminal, work: Work): Promise<ExitCode> {
  return await throughDoor({ table: units, flags, terminal, name: 'registry', roles: ['mpr'] }, async ({ api }) => {
    const result = await work(new RegistryApi(api));
    const { fact, outcome } = result;
    const where = fact.scopes.map(({ bundle_slot }) => bundle_slot).join(', ');
    terminal.answer(result, [
      `${fact.action}: ${nameOf(fact.bundle)} is ${fact.to_state}${where === '' ? '' : `, slots: ${where}`} (fact ${fact.registry_seq}${outcome === 'DUPLICATE' ? ', done before' : ''})`,
      ...(fact.replaced === null || fact.action === 'BUNDLE_RETIRED' ? [] : [`In place of ${nameOf(fact.replaced)}.`]),
      ...(fact.ineligible ?? []).map((code) => `It cannot be put forward: ${code}`),
    ]);
    return EXIT.OK;
  });
}

function factLines(facts: readonly RegistryFact[]): readonly string[] {
  return table(
    ['FACT', 'TIME', 'WHAT', 'BUNDLE', 'SLOTS', 'BY', 'WHY'],
    facts.map((fact) => [
      ...[String(fact.registry_seq), fact.recorded_at_utc, fact.action, nameOf(fact.bundle)],
      ...[fact.scopes.map(({ bundle_slot }) => bundle_slot).join(',') || '-', fact.actor.actor_id, fact.reason],
    ]),
  );
}

const NOTHING = { lineage: { dataset_manifests: [] }, evidence: {} } as const;

/** What a training run left beside its bundle: `{train_run_id, dataset_manifests, eval_report, gate_receipt}`. */
function evidenceIn(file: string): {
  readonly lineage: { readonly train_run_id?: never; readonly dataset_manifests: readonly Ref[] };
  readonly evidence: { readonly eval_report?: Ref; readonly gate_receipt?: Ref };
} {
  let raw: Readonly<Record<string, unknown>>;
  try {
    raw = JSON.parse(readFileSync(file, 'utf8')) as Readonly<Record<string, unknown>>;
  } catch (cause) {
    throw new ProbityError('CONFIG_INVALID', `${file} cannot be read as JSON`, { cause });
  }
  const { train_run_id, dataset_manifests, eval_report, gate_receipt } = raw;
  return {
    lineage: {
      ...(train_run_id === undefined ? {} : { train_run_id: train_run_id as never }),
      dataset_manifests: Array.isArray(dataset_manifests) ? dataset_manifests.map(asRef) : [],
    },
    evidence: {
      ...(eval_report === undefined ? {} : { eval_report: asRef(eval_report) }),
      ...(gate_receipt === undefined ? {} : { gate_receipt: asRef(gate_receipt) }),
    },
  };
}

function nameOf({ bundle_id, bundle_version }: BundleName): string {
  return `${bundle_id}@${bundle_version}`;
}

function short(digest: string): string {
  return `${digest.slice(0, 12)}…`;
}
