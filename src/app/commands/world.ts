import { type GenerateInvocation, worldPinsOf } from '../../modules/data-engine/data-engine.port.js';
import type { JsonObject } from '../../rails/canonical-json.js';
import { ProbityError } from '../../rails/errors/probity-error.js';
import { type Seed, seedOf } from '../../rails/pins.js';
import { bringToReady } from '../client/journey.js';
import type { DoorApi } from '../client/door-api.js';
import { withSettings } from '../client/settings.core.js';
import { throughDoor } from '../client/through-door.js';
import { finishWorld } from '../client/world-end.js';
import { EXIT, type ExitCode } from '../exit-codes.js';
import type { DoorFlags, GenerateFlags } from '../flags.js';
import { table, type Terminal } from '../terminal.js';
import type { UnitTable } from '../unit-table.js';
import { YamlFile } from '../yaml-file.js';
import { offerNamed, paceFrom, scenarioFrom } from './door-options.js';

/** A world from a seed and a parameter pack: made, streamed and reconciled. The same words, the same world. */
export async function generateWorld(units: UnitTable, flags: GenerateFlags, terminal: Terminal): Promise<ExitCode> {
  const pace = paceFrom(flags.pace);
  const seed = seedFrom(flags.seed);
  const fromFile = /[/\\]|\.(ya?ml|json)$/.test(flags.pack);
  const scenario = scenarioFrom(flags.name ?? (fromFile ? baseName(flags.pack) : flags.pack));
  const roles = ['engine', 'sr', 'wsp', 'ig'] as const;
  return await throughDoor({ table: units, flags, terminal, name: 'world', roles }, async (travel) => {
    const pack = fromFile ? packFile(flags.pack) : await offerNamed(travel.api, 'packs', flags.pack);
    const applied = withSettings(pack, flags.set);
    if (!applied.ok) throw new ProbityError('CONFIG_INVALID', applied.says);
    const world: GenerateInvocation = { kind: 'generate', scenario_id: scenario, seed, parameters: applied.parameters };
    const run = await bringToReady(travel, generateRequest(world), flags.supersede);
    return await finishWorld(travel, terminal, run, { stream: flags.stream, pace, rowsWord: 'rows generated' });
  });
}

/** One run per world: whoever asks for the same world, the first start included, means the same run. */
export function generateRequest(world: GenerateInvocation) {
  const run_equivalence_key = `generate:${worldPinsOf(world).manifest_fingerprint}`;
  return { run_equivalence_key, world, strategy: 'AUTO' as const };
}

export async function listPacks(units: UnitTable, flags: DoorFlags, terminal: Terminal): Promise<ExitCode> {
  return await throughDoor({ table: units, flags, terminal, name: 'world', roles: ['engine'] }, async ({ api }) => {
    const [packs, presets] = [await api.offers('packs'), await api.offers('presets')];
    terminal.answer({ packs, presets }, [
      ...offered('PACK', packs),
      '',
      ...offered('PRESET OF probity import', presets),
    ]);
    return EXIT.OK;
  });
}

function offered(word: string, offers: Awaited<ReturnType<DoorApi['offers']>>): readonly string[] {
  const names = Object.keys(offers).sort();
  return table(
    [word, 'WHAT IT IS'],
    names.map((name) => [name, offers[name]?.title ?? '']),
  );
}

function seedFrom(text: string): Seed {
  if (/^[0-9]{1,20}$/.test(text)) return seedOf(BigInt(text));
  throw new ProbityError('CONFIG_INVALID', `--seed ${text}: a seed is a whole number from 0 to 2^64 − 1`);
}

const baseName = (path: string): string =>
  path
    .split(/[/\\]/)
    .at(-1)
    ?.replace(/\.(ya?ml|json)$/, '') ?? 'world';

function packFile(path: string): JsonObject {
  const { value } = YamlFile.read(path);
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as JsonObject;
  throw new ProbityError('CONFIG_INVALID', `${path}:1: a pack is a list of names and values, see docs/generator.md`);
}
