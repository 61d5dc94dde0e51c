import { expect } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import type { Case, CasePage } from '../../src/modules/case-workbench/case.schema.js';
import type { AuditVerification } from '../../src/modules/decision-log-audit/audit-verification.service.js';
import type { DecisionsPage } from '../../src/modules/decision-fabric/decision-fabric.controller.js';
import { type SnapshotResult, SNAPSHOTS_MAX } from '../../src/modules/feature-plane/feature-plane.port.js';
import type { Posture } from '../../src/rails/events/posture.schema.js';
import type { RunPins } from '../../src/rails/pins.js';
import { DEFINITIONS, GROUPS } from '../contract/decision-fabric.kit.js';
import { DECISION_ROLES, Door, importedRun } from '../support/door.js';
import { eventually } from '../support/eventually.js';
import { handbookFile } from '../support/handbook-file.js';
import { type Inside, openInside } from '../support/inside.js';
import { seeded } from '../support/kafka-log.js';
import { SinglePass } from '../support/single-pass.js';
import { Shop } from './decisions.shop.js';
import { killed, pause, type Victim } from './door.kills.js';

export interface DecisionKillPlan {
  readonly flavour: 'embedded' | 'real';
  readonly seed: number;
  /** Files one after the other: kills meet each step of each of them, from the import to the last outcome. */
  readonly files: number;
  /** Of each file. */
  readonly rows: number;
  readonly kills: number;
}

/** What had effects, and who can count them: a table of the platform, a receiver of the test. */
export interface EffectCounter {
  readonly name: string;
  /** How often each effect of the run was carried out there, by the key that names it. */
  counts(runId: string): Promise<readonly number[]>;
  /** How many effects these intents ask for there. */
  wanted(outcomes: Readonly<Record<string, number>>): number;
}

const LIMIT_MS = 240_000;

/** Every victim once before any of them again, in an order that the seed decides. */
function* victimsOf(all: readonly Victim[], random: () => number): Generator<Victim, never> {
  for (;;) {
    const bag = [...all];
    while (bag.length > 0) {
      const [victim] = bag.splice(Math.floor(random() * bag.length), 1);
      if (victim !== undefined) yield victim;
    }
  }
}

/**
 * Streams files while every process of the platform, and the servers under it, are killed at moments from a seed and started again. At the end of each file
 * there is one decision per transaction and one intent per action domain, each intent had its effect once, every decision comes out the same
 * when it is made again from the bus, and the feature state is the one of a single pass that nothing interrupted.
 */
export async function decideUnderKills(plan: DecisionKillPlan): Promise<void> {
  const random = seeded(plan.seed);
  const shop = await new Shop(plan.seed).open();
  const door = await Door.open(plan.flavour, DECISION_ROLES, shop);
  const servers: readonly Victim[] = plan.flavour === 'embedded' ? ['database'] : ['database', 'broker'];
  let kills = 0;
  const victims = victimsOf([...DECISION_ROLES, ...servers], random);
  const kill = async (withinMs: number): Promise<void> => {
    await pause(random() * withinMs);
    const victim = victims.next().value;
    kills += 1;
    try {
      await killed(door, victim);
    } catch (cause) {
      // Who did not come back, and the last of what it had to say.
      const role = DECISION_ROLES.find((one) => one === victim);
      const logs = role === undefined ? '' : door.program(role).logs.slice(-3_000);
      throw new Error(`after kill ${kills}, of ${victim}: ${logs}`, { cause });
    }
  };
  try {
    await eventually(
      async () =>
        ((await (await door.client('dl')).get('/v1/posture')).body as { posture: Posture | null }).posture?.mode,
      (mode) => mode === 'NORMAL',
      60_000,
    );
    for (let file = 0; file < plan.files; file += 1) {
      const scenario = `decided-${randomBytes(4).toString('hex')}`;
      const { run_id } = await importedRun(door, handbookFile(plan.rows, plan.seed + file), scenario);
      // Of many kills some meet the run on its way to READY.
      const early = Math.floor(plan.kills / 5);
      for (let n = 0; n < early; n += 1) await kill(300);
      const settled = await door.settled(run_id, LIMIT_MS);
      expect(settled).toMatchObject({ state: 'READY' });
      await door.stream(run_id);
      for (let n = early; n < plan.kills; n += 1) await kill(900);
      await demandAll(door, plan, run_id, settled.pins, shop);
    }
  } finally {
    await door.close();
    await shop.close();
  }
}

async function demandAll(
  door: Door,
  { rows, flavour }: DecisionKillPlan,
  runId: string,
  pins: RunPins,
  shop: Shop,
): Promise<void> {
  expect(await door.streamed(runId, LIMIT_MS)).toMatchObject({ state: 'COMPLETED', sent: rows, quarantined: 0 });
  const outcomes = await door.decided(runId, rows, LIMIT_MS);
  // Each is recorded, each is told to the shop, and a review is a case as well.
  const intents = 2 * rows + (outcomes['QUEUE'] ?? 0);
  const { by_type, ...found } = await door.carriedOut(runId, intents, LIMIT_MS);
  expect(found).toMatchObject({ admitted: rows, on_bus: rows, reconciled: true });
  expect(by_type).toEqual({
    transaction: { admitted: rows, on_bus: rows },
    decision: { admitted: rows, on_bus: rows },
    action_intent: { admitted: intents, on_bus: intents },
    action_outcome: { admitted: intents, on_bus: intents },
  });
  expect(Object.values(outcomes).reduce((a, b) => a + b, 0)).toBe(rows);
  const verification = await door.verified({ run_id: runId }, LIMIT_MS);
  expect(verification).toMatchObject({ state: 'DONE', compared: rows, equal: rows, not_made_again: 0 });
  await demandAudit(door);
  await demandCases(door, runId, outcomes['QUEUE'] ?? 0);
  // No conflict was left behind by a decision that was made twice.
  const quarantined = (await (await door.client('ig')).get(`/v1/quarantine?run_id=${runId}`)).body;
  expect(quarantined).toMatchObject({ entries: [] });
  const page = (await (await door.client('df')).get(`/v1/decisions?run=${runId}&limit=1`)).body as DecisionsPage;
  expect(page.decisions).toHaveLength(1);
  const inside = await openInside(flavour === 'embedded' ? door.data : null);
  try {
    await demandEffects([shop, ...(flavour === 'embedded' ? tablesOf(inside) : [])], runId, outcomes);
    await demandAttempts(door, shop, runId);
    await demandFeatures(door, inside, pins);
  } finally {
    await inside.close();
  }
}

/** Whoever died: one case for each decision that people have to look at, opened once. */
async function demandCases(door: Door, runId: string, wanted: number): Promise<void> {
  const cases = await door.client('cases');
  const all = async (): Promise<readonly Case[]> => {
    const found: Case[] = [];
    for (let cursor: string | undefined; ;) {
      const path = `/v1/cases?run=${runId}&limit=200${cursor === undefined ? '' : `&cursor=${cursor}`}`;
      const page = (await cases.get(path)).body as CasePage;
      found.push(...page.cases);
      cursor = page.next_cursor;
      if (cursor === undefined) return found;
    }
  };
  const found = await eventually(all, ({ length }) => length >= wanted, 60_000);
  expect([found.length, found.filter(({ triggers }) => triggers !== 1)]).toEqual([wanted, []]);
}

/** Every record of the bus is a leaf once, and every checkpoint that was signed between two deaths is still true. */
async function demandAudit(door: Door): Promise<void> {
  const dla = await door.client('dla');
  await eventually(
    async () => (await dla.get('/v1/audit/status')).body as { readonly leaves: number; readonly signed: number },
    ({ leaves, signed }) => leaves === signed && leaves > 0,
    60_000,
  );
  const { verification_id } = (await dla.post('/v1/audit/verifications', {})).body as AuditVerification;
  const found = await eventually(
    async () => (await dla.get(`/v1/audit/verifications/${verification_id}`)).body as AuditVerification,
    ({ state }) => state !== 'RUNNING',
    LIMIT_MS,
  );
  expect(found.fault).toBeUndefined();
  const { size } = found;
  expect(found).toMatchObject({ state: 'DONE', on_bus: size, not_yet: 0, intents_open: 0, outcomes_orphaned: 0 });
}

/** Effects that are rows of the platform's own database, as its superuser counts them. */
function tablesOf(inside: Inside): readonly EffectCounter[] {
  const table = (name: string, wanted: EffectCounter['wanted']): EffectCounter => ({
    name,
    wanted,
    counts: async (runId) => {
      const text = `select count(*)::integer as n from actions.${name} where run_id = $1 group by target_id`;
      return (await inside.administrate(text, [runId])).map(({ n }) => Number(n));
    },
  });
  return [
    table('dispositions', (outcomes) => Object.values(outcomes).reduce((a, b) => a + b, 0)),
    table('case_queue', ({ QUEUE = 0 }) => QUEUE),
  ];
}

async function demandEffects(
  counters: readonly EffectCounter[],
  runId: string,
  outcomes: Readonly<Record<string, number>>,
): Promise<void> {
  for (const counter of counters) {
    const counts = await counter.counts(runId);
    expect([counter.name, counts.length, counts.filter((count) => count !== 1)]).toEqual([
      counter.name,
      counter.wanted(outcomes),
      [],
    ]);
  }
}

/** Nothing reached the shop that was not written down before it left, and nothing is told as failed that the shop could do. */
async function demandAttempts(door: Door, shop: Shop, runId: string): Promise<void> {
  const al = await door.client('al');
  const { actions } = (await al.get('/v1/actions?status=FAILED')).body as { readonly actions: readonly object[] };
  expect(actions).toEqual([]);
  const often = shop.oftenDelivered(runId).slice(0, 50);
  for (const { id, deliveries } of often) {
    const { attempts, status } = (await al.get(`/v1/actions/${id}`)).body as {
      readonly status: string;
      readonly attempts: readonly { readonly step: string }[];
    };
    expect(status).toBe('EXECUTED');
    expect(attempts.filter(({ step }) => step === 'STARTED').length).toBeGreaterThanOrEqual(deliveries);
  }
}

/** What the feature plane knows after all its deaths, against one pass over the log. */
async function demandFeatures(door: Door, inside: Inside, pins: RunPins): Promise<void> {
  const labels = await eventually(
    async () =>
      (await (await door.client('labels')).get(`/v1/runs/${pins.run_id}/labels`)).body as {
        state: string;
        published: number;
      },
    ({ state }) => state === 'DONE',
    60_000,
  );
  const pass = await SinglePass.read(inside.bus, pins);
  // On a bus whose log is not the database a crash may publish a batch of labels twice: never fewer than were told.
  expect(pass.labels).toBeGreaterThanOrEqual(labels.published);
  // Once more, when all is in the checkpoint: what it answers then has been through the disk.
  await eventually(
    async () =>
      (await (await door.client('ofp')).get('/v1/features/status')).body as { readonly rows_since_checkpoint: number },
    ({ rows_since_checkpoint: rows }) => rows === 0,
    60_000,
  );
  await killed(door, 'ofp');
  const ofp = await door.client('ofp');
  for (let from = 0; from < pass.triggers.length; from += SNAPSHOTS_MAX) {
    const triggers = pass.triggers.slice(from, from + SNAPSHOTS_MAX);
    const asked = { pins, triggers, groups: [...GROUPS], wait_ms: 20_000 };
    const { body } = await ofp.post('/v1/features/snapshots', asked);
    const answers = (body as { results: readonly SnapshotResult[] }).results.map((result) => {
      if (result.status !== 'SERVED') throw new Error(`${result.status}: ${result.detail}`);
      return result.snapshot;
    });
    const [first] = answers;
    if (first === undefined) throw new Error('nothing was asked');
    const again = pass.snapshots(triggers, DEFINITIONS as never, first.input_basis);
    expect(answers.map(({ feature_snapshot_hash: hash }) => hash)).toEqual(
      again.map(({ feature_snapshot_hash: hash }) => hash),
    );
  }
}
