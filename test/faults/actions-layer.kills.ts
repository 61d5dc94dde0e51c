import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ActionsLayerStore } from '../../src/modules/actions-layer/actions-layer.store.js';
import { WorkStore } from '../../src/modules/actions-layer/outward/work.store.js';
import { schemaName } from '../../src/substrate/database/roles.js';
import { batch, envelope, intent, type Manner, Receiver, ToldGate, workerOf } from '../contract/actions-layer.kit.js';
import { openTestPostgres, type TestDatabase, type TestPostgres } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { faultSeed, FULL, seeded } from '../support/kafka-log.js';
import { pause } from './door.kills.js';
import { type ActionsOrder, ORDER_VARIABLE, policyFor, QuickClock } from './actions-layer.order.js';

/** `npm run build:test` compiles it. */
const CHILD = join(process.cwd(), '.build/test/faults/actions-layer.child.js');
const WORKERS = 2;

function start(order: ActionsOrder): ChildProcess {
  return spawn(process.execPath, ['--no-warnings', CHILD], {
    // Jest's own flags are not for the child.
    env: { ...process.env, NODE_OPTIONS: '', [ORDER_VARIABLE]: JSON.stringify(order) },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}

/**
 * Two workers carry out effects at a receiver that is slow, silent and busy at random, and are killed again and again at moments from a seed. At the end
 * each effect was had, nothing left that had not been written down as begun, and each outcome says what the receiver knows.
 */
async function actUnderKills(place: TestDatabase, seed: number, kills: number): Promise<void> {
  const told = `(seed ${seed})`;
  const random = seeded(seed);
  const manners: readonly Manner[] = ['silent after', 'silent before', 503, 500, 409];
  const receiver = await new Receiver((): Manner => {
    const luck = random();
    return luck < 0.25 ? (manners[Math.floor(luck * 4 * manners.length)] ?? 200) : 200;
  }).open();
  const database = place.forSchema(schemaName('actions'));
  const sinceMs = Date.now();
  const clock = new QuickClock(sinceMs);
  const gate = new ToldGate();
  const keeper = workerOf({ database, clock, gate, policy: policyFor(receiver.port) });
  const { address, admin, roleSecret } = place;
  const order: ActionsOrder = { place: { address, admin, roleSecret }, port: receiver.port, sinceMs };
  const keys: string[] = [];
  const ask = async (count: number): Promise<void> => {
    const intents = Array.from({ length: count }, () => intent({ action_type: 'webhook.shop' }));
    keys.push(...intents.map(({ idempotency_key }) => idempotency_key));
    await keeper.consumer.take(batch(...intents.map((one) => envelope(one))));
  };
  const workers = new Set<ChildProcess>();
  try {
    for (let n = 0; n < kills; n += 1) {
      while (workers.size < WORKERS) {
        const worker = start(order);
        workers.add(worker);
        if (worker.stdout !== null) await once(worker.stdout, 'data');
      }
      await ask(24);
      await pause(random() * 150);
      const [victim] = workers;
      if (victim === undefined) throw new Error('nobody was at work');
      workers.delete(victim);
      if (victim.exitCode !== null) throw new Error(`a worker ended by itself ${told}`);
      victim.kill('SIGKILL');
      await once(victim, 'exit');
    }
    const work = new WorkStore(database);
    if (workers.size === 0) workers.add(start(order));
    await eventually(
      async () => (await work.backlog()).work,
      (left) => left.length === 0,
      120_000,
    );
    while ((await keeper.publisher.round()) > 0);
    const outcomes = gate.outcomes();
    expect([told, outcomes.map(({ idempotency_key }) => idempotency_key).sort()]).toEqual([told, [...keys].sort()]);
    expect([told, outcomes.filter(({ status }) => status !== 'EXECUTED')]).toEqual([told, []]);
    expect([told, [...receiver.effects].filter(([, count]) => count !== 1)]).toEqual([told, []]);
    expect([...receiver.effects.keys()].sort()).toEqual([...keys].sort());
    const store = new ActionsLayerStore(database);
    let doubts = 0;
    for (const key of keys) {
      const journal = await work.attempts((await store.action(key))?.semantic_key ?? '');
      const started = journal.filter(({ step }) => step === 'STARTED').length;
      doubts += journal.filter(({ reason }) => reason === 'LEASE_EXPIRED').length;
      const delivered = receiver.deliveries.filter(({ id }) => id === key).length;
      expect([told, key, delivered <= started]).toEqual([told, key, true]);
      expect(journal.filter(({ step }) => step === 'COMMITTED')).toHaveLength(1);
    }
    // Somebody did die at work, or this has shown nothing.
    expect([told, doubts > 0]).toEqual([told, true]);
    expect(receiver.deliveries.every(({ genuine }) => genuine)).toBe(true);
  } finally {
    for (const worker of workers) worker.kill('SIGKILL');
    keeper.close();
    await receiver.close();
  }
}

/** The same under either server of Postgres. */
export function actionsUnderKillsSuite(kind: 'embedded' | 'external'): void {
  describe(`actions under kill -9, ${kind} Postgres`, () => {
    let postgres: TestPostgres;

    beforeAll(async () => {
      postgres = await openTestPostgres(kind);
    });
    afterAll(async () => {
      await postgres.close();
    });

    it(
      'are had once outside, and told as what they are, whoever dies',
      async () => {
        const place = await postgres.fresh({ schemas: ['actions'] });
        await actUnderKills(place, faultSeed(), FULL ? 100 : 20);
      },
      FULL ? 600_000 : 180_000,
    );
  });
}
