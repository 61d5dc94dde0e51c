import { expect } from '@jest/globals';
import type { Case, CaseEvent } from '../../src/modules/case-workbench/case.schema.js';
import { edgeEventIdOf } from '../../src/modules/producer-edges/producer-edges.port.js';
import { runIdOf } from '../../src/modules/scenario-runner/scenario-runner.port.js';
import { Door } from '../support/door.js';
import { eventually } from '../support/eventually.js';
import { seeded } from '../support/kafka-log.js';
import { killed, pause, type Victim } from './door.kills.js';

export interface CaseKillPlan {
  readonly flavour: 'embedded' | 'real';
  readonly seed: number;
  readonly kills: number;
}

const RUN = runIdOf('live');
const CASES = 6;
/** A case takes no more than fifty. */
const WISHES_MAX = CASES * 40;
/** Through whom a payment is decided and an action done, and whom those call; whoever else there is, is not missed. */
const ROLES = ['engine', 'sr', 'ig', 'edge', 'labels', 'ofp', 'ieg', 'dl', 'df', 'al', 'dla', 'cases', 'mpr'] as const;
const OTHERS = ROLES.filter((role) => role !== 'cases' && role !== 'ig');

/**
 * Two people ask for the same actions over and over until they are answered, while the workbench, the gate and the servers are killed. At the end
 * each wish is one entry, one intent on the bus, one effect and one outcome, and each case says so.
 */
export async function caseActionsUnderKills({ flavour, seed, kills }: CaseKillPlan): Promise<void> {
  const random = seeded(seed);
  const groups = flavour === 'embedded' ? [OTHERS.join(','), 'ig', 'cases'] : ROLES;
  const door = await Door.open(flavour, groups);
  const victims: readonly Victim[] = [
    ...(['cases', 'ig', 'cases', 'database'] as const),
    ...(flavour === 'real' ? (['broker'] as const) : []),
  ];
  try {
    const cases = await openedCases(door);
    const ended = { now: false };
    const wishes = new Map<string, Wish>();
    const work = [writer(door, cases, ended, wishes), writer(door, cases, ended, wishes)];
    for (let kill = 0; kill < kills; kill += 1) {
      await pause(random() * 700);
      await killed(door, victims[kill % victims.length] ?? 'cases');
    }
    ended.now = true;
    await Promise.all(work);
    expect(wishes.size).toBeGreaterThan(0);
    await demandOnce(door, cases, [...wishes.values()]);
  } finally {
    await door.close();
  }
}

interface Wish {
  readonly caseId: string;
  readonly action: 'NOTIFY' | 'RELEASE';
}

/** Payments that were decided, and a case of each. */
async function openedCases(door: Door): Promise<readonly string[]> {
  await door.request({
    run_equivalence_key: 'live',
    strategy: 'AUTO',
    world: { kind: 'live', scenario_id: 'live', traffic: [{ event_type: 'transaction', schema_version: 'v1' }] },
  } as never);
  await door.settled(RUN);
  const edge = await door.client('edge');
  for (let n = 0; n < CASES; n += 1) {
    const payment = {
      transaction_id: `p-${n}`,
      occurred_at: new Date().toISOString(),
      amount: '1.00',
      currency: 'EUR',
    };
    const { status, text } = await edge.post('/v1/transactions', { ...payment, card_id: `c-${n}` });
    if (status >= 300) throw new Error(text);
  }
  await door.decided(RUN, CASES);
  const ids: string[] = [];
  for (let n = 0; n < CASES; n += 1) {
    const asked = {
      run_id: RUN,
      event_id: edgeEventIdOf('payments-api', `p-${n}`),
      reason: 'kill run',
      idempotency_key: 'open',
    };
    const { case: found } = await answered<{ case: Case }>(door, '/v1/cases', asked);
    ids.push(found.case_id);
  }
  return ids;
}

/** Wish after wish, each until it is answered; both writers use the same keys. */
async function writer(
  door: Door,
  cases: readonly string[],
  ended: { readonly now: boolean },
  wishes: Map<string, Wish>,
): Promise<void> {
  for (let n = 0; n < WISHES_MAX && !ended.now; n += 1) {
    const wish: Wish = { caseId: cases[n % CASES] ?? '', action: n % 2 === 0 ? 'NOTIFY' : 'RELEASE' };
    const asked = { action: wish.action, reason: 'kill run', idempotency_key: `w-${n}` };
    await answered(door, `/v1/cases/${wish.caseId}/actions`, asked);
    wishes.set(`w-${n}`, wish);
    await pause(30);
  }
}

/** Through every failure on the way. */
async function answered<Body>(door: Door, path: string, request: object): Promise<Body> {
  const body = await eventually(
    async () => {
      try {
        const answer = await (await door.client('cases')).post(path, request);
        return answer.status === 200 ? (answer.body as Body) : undefined;
      } catch {
        return undefined;
      }
    },
    (one) => one !== undefined,
    120_000,
  );
  if (body === undefined) throw new Error('never answered');
  return body;
}

async function demandOnce(door: Door, cases: readonly string[], wishes: readonly Wish[]): Promise<void> {
  const client = await door.client('cases');
  const shown = await eventually(
    async () => {
      const all: { readonly case: Case; readonly timeline: readonly CaseEvent[] }[] = [];
      for (const id of cases) all.push((await client.get(`/v1/cases/${id}`)).body as never);
      return all;
    },
    (all) => all.every(({ case: { actions } }) => actions.every(({ state }) => state === 'EXECUTED')),
    120_000,
  );
  const entries = shown.flatMap(({ timeline }) => timeline);
  const intentsIn = (type: 'ACTION_SUBMITTED' | 'ACTION_OUTCOME'): readonly string[] =>
    entries.flatMap((entry) => (entry.type === type ? [entry.intent_id as string] : []));
  expect(intentsIn('ACTION_SUBMITTED')).toHaveLength(wishes.length);
  expect(new Set(intentsIn('ACTION_OUTCOME'))).toEqual(new Set(intentsIn('ACTION_SUBMITTED')));
  expect(intentsIn('ACTION_OUTCOME')).toHaveLength(wishes.length);
  expect(entries.filter(({ type }) => type === 'ACTION_REFUSED')).toEqual([]);
  for (const { case: found, timeline } of shown)
    expect(timeline.map(({ case_seq }) => case_seq)).toEqual(Array.from({ length: found.case_seq }, (_, n) => n + 1));

  const { custody, by_type, more_than_once_on_bus, other_content, missing_on_bus } = await door.reconciled(
    RUN,
    120_000,
  );
  expect({ more_than_once_on_bus, other_content, missing_on_bus }).toEqual({
    more_than_once_on_bus: [],
    other_content: [],
    missing_on_bus: [],
  });
  expect(custody).toMatchObject({
    intents: (custody?.actions_planned ?? 0) + wishes.length,
    intents_unplanned: { count: 0 },
    intents_open: { count: 0 },
    outcomes_orphaned: { count: 0 },
  });
  expect(by_type['action_outcome']).toEqual(by_type['action_intent']);
  // The effects themselves, where they are counted.
  const notices = wishes.filter(({ action }) => action === 'NOTIFY').length;
  expect(await notifications(door)).toBe(notices);
}

async function notifications(door: Door): Promise<number> {
  const al = await door.client('al');
  let count = 0;
  for (let cursor: string | undefined = ''; cursor !== undefined;) {
    const { body } = await al.get(`/v1/notifications?limit=50${cursor === '' ? '' : `&cursor=${cursor}`}`);
    const page = body as { readonly notifications: readonly object[]; readonly next_cursor?: string };
    count += page.notifications.length;
    cursor = page.next_cursor;
  }
  return count;
}
