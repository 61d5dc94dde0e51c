import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { GenerateInvocation } from '../../modules/data-engine/data-engine.port.js';
import type { JsonObject } from '../../rails/canonical-json.js';
import { ProbityError } from '../../rails/errors/probity-error.js';
import { type ScenarioId, seedOf } from '../../rails/pins.js';
import { type DecidedWorld, decidedWorld, logVerified, madeAgain } from '../client/golden/decided-world.js';
import { type Hop, HopFailed, type Way } from '../client/golden/hop.js';
import { citedByAll, putInForce, recorded } from '../client/golden/in-force.js';
import { datasetOf, investigated, parityProven, trained } from '../client/golden/learned.js';
import { throughDoor } from '../client/through-door.js';
import { EXIT, type ExitCode } from '../exit-codes.js';
import type { DoorFlags } from '../flags.js';
import type { Terminal } from '../terminal.js';
import type { UnitTable } from '../unit-table.js';
import { DEMO_ROLES } from './demo.js';
import { offerNamed } from './door-options.js';
import { triggerTypesOf } from './reconcile.js';
import { generateRequest } from './world.js';

const ROLES = [...DEMO_ROLES, 'cases', 'ofs', 'mf', 'mpr', 'ops'] as const;
const PACK = 'small';
/** A world in which more goes wrong than in the pack, so that three weeks of it are enough to learn from, and to judge by. */
const FRAUD_FACTOR = 2;
/** Of what is learned from, and of what is decided with what was learned. */
const FIRST_DAYS = 20;
const NEXT_DAYS = 3;

export interface GoldenFlags extends Omit<DoorFlags, 'data'> {
  /** A new folder unless given. */
  readonly data?: string;
  readonly seed: number;
}

/**
 * The whole loop from an empty folder: payments are decided, what became known is learned from, a person puts the new bundle in force, and the
 * next decisions cite it. Each hop is shown with its proof; the first that does not hold ends the way with exit 1.
 */
export async function golden(units: UnitTable, flags: GoldenFlags, terminal: Terminal): Promise<ExitCode> {
  const { url } = flags;
  const data = flags.data ?? join('.probity', `golden-${new Date().toISOString().replaceAll(/[-:]|\.\d+/g, '')}`);
  if (url === undefined && existsSync(data) && readdirSync(data).length > 0)
    throw new ProbityError('CONFIG_INVALID', `${data} is not empty: the way begins in a folder of its own`);
  const place = url === undefined ? `--data ${data}` : `--url ${url}`;
  const startedMs = performance.now();
  const hops: Hop[] = [];
  const door = { table: units, flags: { ...flags, data }, terminal, name: 'golden', roles: ROLES } as const;
  return await throughDoor(door, async (travel) => {
    const hop = (made: Hop): void => {
      hops.push(made);
      terminal.note(`${made.ok ? 'ok ' : 'NOT'} ${String(hops.length).padStart(2)}  ${made.units}: ${made.what}`);
      terminal.note(`        ${made.proof}`);
    };
    const ok = await walked({ ...travel, hop }, flags, triggerTypesOf(flags.profile));
    const seconds = (performance.now() - startedMs) / 1_000;
    terminal.answer(
      { golden: ok, hops, took_ms: Math.round(seconds * 1_000), ...(url === undefined ? { data } : { url }) },
      [
        '',
        ok
          ? `Golden: ${hops.length} hops in ${seconds.toFixed(0)} s, from a seed to decisions that cite what was learned.`
          : `NOT golden: hop ${hops.length} does not hold.`,
        `What was changed: bin/probity changes ${place}    bin/probity registry log ${place}`,
      ],
    );
    return ok ? EXIT.OK : EXIT.FAILED;
  });
}

async function walked(way: Way, { seed }: GoldenFlags, triggerTypes: readonly string[]): Promise<boolean> {
  try {
    const pack = await offerNamed(way.api, 'packs', PACK);
    const worldOf = (number: number, days: number): Promise<DecidedWorld> => {
      const window = { ...(pack['window'] as JsonObject), days };
      const parameters = { ...pack, window, fraud: oftener(pack['fraud'] as JsonObject) };
      const invocation: GenerateInvocation = {
        ...{ kind: 'generate', scenario_id: PACK as ScenarioId, parameters },
        seed: seedOf(BigInt(number)),
      };
      return decidedWorld(way, generateRequest(invocation), triggerTypes);
    };
    const first = await worldOf(seed, FIRST_DAYS);
    await investigated(way, first);
    const dataset = await datasetOf(way, first);
    const { bundle, trainRunId } = await trained(way, dataset);
    const promoted = await putInForce(way, bundle);
    const next = await worldOf(seed + 1, NEXT_DAYS);
    await citedByAll(way, next, promoted);
    const proof = await parityProven(way, next);
    await madeAgain(way, first);
    await madeAgain(way, next);
    await logVerified(way);
    const builds = [dataset.manifest.dataset_manifest_id, proof];
    await recorded(way, { bundle, promoted, builds, trainRunId });
    return true;
  } catch (error) {
    if (error instanceof HopFailed) return false;
    throw error;
  }
}

/** The same kinds of fraud, each begun more often. */
function oftener(fraud: JsonObject): JsonObject {
  const kinds = Object.entries(fraud).map(([kind, settings]) => {
    const members = Object.entries(settings as JsonObject).map(([name, value]) => {
      const isRate = name.startsWith('starts_per_') && typeof value === 'number';
      return [name, isRate ? value * FRAUD_FACTOR : value] as const;
    });
    return [kind, Object.fromEntries(members)] as const;
  });
  return Object.fromEntries(kinds);
}
