import { hash } from 'node:crypto';
import { canonicalJson } from '../../rails/canonical-json.js';
import { ProbityError } from '../../rails/errors/probity-error.js';
import { type RunPins } from '../../rails/pins.js';
import { type CutRow } from './row.core.js';

/** What all events of one output have in common. */
export interface EventShape {
  readonly output_id: string;
  readonly event_type: string;
  readonly schema_version: string;
  readonly producer: string;
  readonly pins: RunPins;
}

/** How the engine names the event of a row: `eventIdOf` of its port. */
export type NameEvent = (outputId: string, key: string, pins: Omit<RunPins, 'run_id'>) => string;

/** A key that has no other place in the text; what stands around it is the same for every row. */
const PROBE_KEY = 'the key of the row';

/**
 * Writes envelopes around payloads as texts: canonical JSON, since the members of an envelope and of a payload stand in the same order in
 * every row. Everything but id, payload and time is put together once per output.
 *
 * The id is hashed over the same text as the engine's recipe makes. That is asserted against the recipe itself when the writer is made,
 * so that a recipe that changes stops the stream instead of giving every fact a second id.
 */
export class EnvelopeWriter {
  readonly #idHead: string;
  readonly #idTail: string;
  readonly #toPayload: string;
  readonly #toTime: string;

  /** @throws ProbityError INTERNAL where the engine names events by another recipe */
  constructor(shape: EventShape, nameEvent: NameEvent) {
    const { output_id, event_type, schema_version, producer, pins } = shape;
    const { run_id, ...world } = pins;
    const recipe = canonicalJson({ key: PROBE_KEY, output_id, pins: world, recipe: 'engine.event.v1' });
    [this.#idHead, this.#idTail] = around(recipe, JSON.stringify(PROBE_KEY));
    const text = (value: string): string => JSON.stringify(value);
    this.#toPayload =
      `","event_type":${text(event_type)},"manifest_fingerprint":${text(world.manifest_fingerprint)}` +
      `,"parameter_hash":${text(world.parameter_hash)},"payload":`;
    this.#toTime =
      `,"producer":${text(producer)},"run_id":${text(run_id)},"scenario_id":${text(world.scenario_id)}` +
      `,"schema_version":${text(schema_version)},"seed":${text(world.seed)},"ts_utc":"`;
    if (this.idOf(JSON.stringify(PROBE_KEY)) !== nameEvent(output_id, PROBE_KEY, world))
      throw new ProbityError('INTERNAL', 'the engine names events by a recipe that the stream does not know');
  }

  /** @param key as a JSON string in canonical form */
  idOf(key: string): string {
    return hash('sha256', `${this.#idHead}${key}${this.#idTail}`, 'hex');
  }

  write(row: CutRow): string {
    return `${ID_HEAD}${this.idOf(row.key)}${this.#toPayload}${row.payload}${this.#toTime}${row.ts}"}`;
  }
}

const ID_HEAD = '{"event_id":"';
const ID_LENGTH = 64;

/** The id of an event that a writer wrote. */
export function eventIdIn(event: string): string {
  return event.slice(ID_HEAD.length, ID_HEAD.length + ID_LENGTH);
}

function around(text: string, part: string): [string, string] {
  const at = text.indexOf(part);
  return [text.slice(0, at), text.slice(at + part.length)];
}
