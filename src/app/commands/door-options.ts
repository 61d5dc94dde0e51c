import type { Pace } from '../../modules/world-stream-producer/world-stream-producer.port.js';
import type { JsonObject } from '../../rails/canonical-json.js';
import { ProbityError } from '../../rails/errors/probity-error.js';
import { type ScenarioId, ScenarioIdSchema } from '../../rails/pins.js';
import { validatorOf } from '../../rails/validator.js';
import type { DoorApi } from '../client/door-api.js';
import { paceOf } from '../client/pace.js';
import { nearest } from '../yaml-file.js';

const scenarios = validatorOf(ScenarioIdSchema, 'the name');

/** @throws ProbityError CONFIG_INVALID */
export function paceFrom(text: string | undefined): Pace | undefined {
  if (text === undefined) return undefined;
  const pace = paceOf(text);
  if (pace !== undefined) return pace;
  throw new ProbityError('CONFIG_INVALID', `--pace ${text}: say fast, realtime, or a factor such as 60x`);
}

/** @throws ProbityError CONFIG_INVALID */
export function scenarioFrom(name: string): ScenarioId {
  const verdict = scenarios.check(name);
  if (verdict.ok) return verdict.value;
  throw new ProbityError(
    'CONFIG_INVALID',
    `--name ${name}: a name is 1 to 100 lower-case letters, digits, dots, dashes and underscores`,
  );
}

/** A mapping or a parameter pack that the engine brings. @throws ProbityError CONFIG_INVALID with what there is */
export async function offerNamed(api: DoorApi, kind: 'presets' | 'packs', name: string): Promise<JsonObject> {
  const offers = await api.offers(kind);
  const offer = offers[name];
  if (offer !== undefined) return offer.parameters;
  const names = Object.keys(offers).sort();
  const near = nearest(name, names);
  const hint = near === undefined ? `there are: ${names.join(', ')}` : `did you mean "${near}"?`;
  throw new ProbityError('CONFIG_INVALID', `there is no ${kind.slice(0, -1)} "${name}"; ${hint}`);
}
