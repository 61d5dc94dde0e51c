import { describe, expect, it } from '@jest/globals';
import type { RegistryFact } from '../../../rails/events/registry-fact.schema.js';
import type { DecidedWorld } from './decided-world.js';
import { type Hop, HopFailed, type Way } from './hop.js';
import { citedByAll, recorded } from './in-force.js';

const BUNDLE = { bundle_id: 'learned', bundle_version: 2, digest: 'b'.repeat(64) };
const PROMOTED = { event_id: 'f'.repeat(64), registry_seq: 7, bundle: BUNDLE } as unknown as RegistryFact;
const WORLD = { run: { run_id: 'r' }, payments: 3 } as unknown as DecidedWorld;

const citing = { status: 'ACTIVE', ...BUNDLE, activation: { event_id: PROMOTED.event_id, registry_seq: 7 } };
type Cited = Readonly<Record<string, unknown>>;

/** A door that answers from these alone: decisions by id, and the facts of a version. */
function wayThrough(
  cited: readonly Cited[],
  facts: readonly unknown[] = [],
  told: readonly unknown[] = [],
): { way: Way; hops: Hop[] } {
  const hops: Hop[] = [];
  const ask = (_role: string, { path }: { readonly path: string }): Promise<unknown> => {
    if (path.startsWith('/v1/registry/bundles/')) return Promise.resolve({ facts });
    if (path.startsWith('/v1/training-runs/facts')) return Promise.resolve({ changes: [] });
    if (path.startsWith('/v1/datasets/facts'))
      return Promise.resolve({ changes: told.map((fact) => ({ fact })).reverse() });
    const [, id] = /^\/v1\/decisions\/(\d+)$/.exec(path) ?? [];
    if (id !== undefined) return Promise.resolve({ decision: { bundle: cited[Number(id)] } });
    // Two to a page, so that the way has to go on behind the first.
    const from = Number(/cursor=(\d+)/.exec(path)?.[1] ?? 0);
    const decisions = cited.map((_, at) => ({ decision_id: String(at) })).slice(from, from + 2);
    return Promise.resolve({ decisions, ...(from + 2 < cited.length ? { next_cursor: String(from + 2) } : {}) });
  };
  const progress = { at: () => undefined, say: () => undefined, clear: () => undefined };
  return { way: { api: { ask }, progress, hop: (hop: Hop) => hops.push(hop) } as unknown as Way, hops };
}

describe('the end of the golden way', () => {
  it('holds where every decision cites the bundle and the fact that made it active', async () => {
    const { way, hops } = wayThrough([citing, citing, citing]);
    await citedByAll(way, WORLD, PROMOTED);
    expect(hops).toEqual([
      expect.objectContaining({ ok: true, document: expect.objectContaining({ promoted: 3 }) as unknown }),
    ]);
  });

  const wrong: readonly (readonly [string, Cited])[] = [
    ['another bundle', { ...citing, digest: 'a'.repeat(64) }],
    ['another fact', { ...citing, activation: { event_id: 'e'.repeat(64), registry_seq: 7 } }],
    ['none, since nothing is active', { status: 'ABSENT', reason: 'NO_ACTIVE' }],
  ];
  it.each(wrong)('does not hold where one decision cites %s', async (_, other) => {
    const { way, hops } = wayThrough([citing, citing, other]);
    await expect(citedByAll(way, WORLD, PROMOTED)).rejects.toThrow(HopFailed);
    expect(hops[0]).toMatchObject({ ok: false, document: { looked: 3, promoted: 2, another: 1 } });
  });

  const unanswered = { status: 'ABSENT', reason: 'REGISTRY_UNAVAILABLE' };
  it('tells of decisions that the registry did not answer in time, and does not hold where they are most', async () => {
    const { way, hops } = wayThrough([citing, unanswered, citing]);
    await citedByAll(way, WORLD, PROMOTED);
    expect(hops[0]).toMatchObject({ ok: true, proof: expect.stringContaining('did not answer 1 in time') as unknown });
    await expect(citedByAll(wayThrough([citing, unanswered, unanswered]).way, WORLD, PROMOTED)).rejects.toThrow(
      HopFailed,
    );
  });

  it('does not hold where a decision is missing', async () => {
    const { way } = wayThrough([citing, citing]);
    await expect(citedByAll(way, WORLD, PROMOTED)).rejects.toThrow(HopFailed);
  });

  const by = (action: string, actor_id: string, event_id = 'x') => ({ action, actor: { actor_id }, event_id });
  const facts = [
    by('BUNDLE_PUBLISHED', 'SYSTEM::mf'),
    by('BUNDLE_APPROVED', 'HUMAN::operator'),
    by('BUNDLE_PROMOTED_ACTIVE', 'HUMAN::operator', PROMOTED.event_id),
  ];
  const did = (kind: string, subject: string, actor_id = 'HUMAN::operator') => ({ kind, subject, actor: { actor_id } });
  const told = [
    ...['first', 'second'].flatMap((id) => [
      did('OFS_BUILD_REQUESTED', id),
      did('OFS_BUILD_COMPLETED', id, 'SYSTEM::ofs'),
    ]),
    did('MF_TRAIN_REQUESTED', 'training'),
    did('MF_TRAIN_PASSED', 'training', 'SYSTEM::mf'),
  ];
  const done = { bundle: BUNDLE, promoted: PROMOTED, builds: ['first', 'second'], trainRunId: 'training' };
  it('wants published, approved by somebody else and promoted, and nothing besides', async () => {
    await recorded(wayThrough([], facts, told).way, done);
    const self = facts.map((fact) => ({ ...fact, actor: { actor_id: 'HUMAN::operator' } }));
    const more = [...facts, by('BUNDLE_RETIRED', 'HUMAN::operator')];
    for (const not of [facts.slice(0, 2), facts.toReversed(), self, more])
      await expect(recorded(wayThrough([], not, told).way, done)).rejects.toThrow(HopFailed);
  });

  it('wants who asked for each dataset and training, and how it ended, and nothing besides', async () => {
    const failed = told.map((fact) =>
      fact.kind === 'MF_TRAIN_PASSED' ? did('MF_TRAIN_FAILED', 'training', 'SYSTEM::mf') : fact,
    );
    const again = [...told, did('OFS_BUILD_REQUESTED', 'second')];
    const nobody = told.map((fact) => ({ ...fact, actor: { actor_id: 'SYSTEM::mf' } }));
    for (const not of [...told.map((_, at) => told.toSpliced(at, 1)), told.toReversed(), failed, again, nobody])
      await expect(recorded(wayThrough([], facts, not).way, done)).rejects.toThrow(HopFailed);
  });
});
