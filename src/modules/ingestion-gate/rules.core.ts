import { type EventType, type Envelope } from '../../rails/envelope.schema.js';
import { type PayloadSchema } from '../../rails/events/catalogue.js';
import { type Validator, validatorOf } from '../../rails/validator.js';
import { type AdmissionPolicy } from './ingestion-gate.port.js';

/** The schemas of all payloads, compiled when first used and kept for the life of the gate. */
export class PayloadCatalogue {
  readonly #validators: ReadonlyMap<string, Validator<unknown>>;

  constructor(payloads: readonly PayloadSchema[]) {
    this.#validators = new Map(
      payloads.map(({ event_type, schema_version, schema }) => [
        `${event_type}/${schema_version}`,
        validatorOf(schema, 'the payload'),
      ]),
    );
  }

  validator(eventType: string, schemaVersion: string): Validator<unknown> | undefined {
    return this.#validators.get(`${eventType}/${schemaVersion}`);
  }
}

/** What one type demands; `class` and `partition_key` are the policy's own. */
export interface TypeRule {
  readonly class: 'traffic' | 'platform';
  /** By schema version: those that the policy admits and the catalogue knows. */
  readonly validators: ReadonlyMap<string, Validator<unknown>>;
  readonly partitionKey: readonly string[];
}

interface ProducerRule {
  readonly principals: ReadonlySet<string>;
  readonly admitsType: (eventType: string) => boolean;
  readonly admitsScenario: (scenarioId: string) => boolean;
}

/** One admission policy in the form in which events are judged by it: what depends on the policy alone is computed once. */
export class AdmissionRules {
  readonly eventBytesMax: number;
  readonly keepRaw: boolean;
  readonly partitioningProfile: string;
  readonly #producers: ReadonlyMap<string, ProducerRule>;
  readonly #types: ReadonlyMap<string, TypeRule>;

  constructor(policy: AdmissionPolicy, catalogue: PayloadCatalogue) {
    this.eventBytesMax = policy.limits.event_bytes_max;
    this.keepRaw = policy.quarantine.keep_raw;
    this.partitioningProfile = policy.partitioning_profile;
    this.#producers = new Map(
      Object.entries(policy.producers).map(([name, { principals, event_types, scenarios }]) => [
        name,
        {
          principals: new Set(principals),
          admitsType: anyOf(event_types),
          admitsScenario: anyOf(scenarios),
        },
      ]),
    );
    this.#types = new Map(
      Object.entries(policy.event_types).map(([type, rule]) => [
        type,
        {
          class: rule.class,
          validators: new Map(
            rule.schema_versions.flatMap((version) => {
              const validator = catalogue.validator(type, version);
              return validator === undefined ? [] : [[version, validator] as const];
            }),
          ),
          partitionKey: rule.partition_key,
        },
      ]),
    );
  }

  /** Whether this caller may speak under the name that the envelope has. */
  isOwn(producer: string, principalId: string): boolean {
    return this.#producers.get(producer)?.principals.has(principalId) ?? false;
  }

  /** Whether a producer may send this type in this scenario; one without a scenario is stopped by its missing pins. */
  admits(producer: string, { event_type, scenario_id }: Pick<Envelope, 'event_type' | 'scenario_id'>): boolean {
    const rule = this.#producers.get(producer);
    if (rule === undefined || !rule.admitsType(event_type)) return false;
    return scenario_id === undefined || rule.admitsScenario(scenario_id);
  }

  type(eventType: EventType): TypeRule | undefined {
    return this.#types.get(eventType);
  }

  knowsProducer(producer: string): boolean {
    return this.#producers.has(producer);
  }
}

/** Names in full, or their beginning followed by `*`. */
function anyOf(patterns: readonly string[]): (name: string) => boolean {
  const names = new Set(patterns.filter((pattern) => !pattern.endsWith('*')));
  const beginnings = patterns.filter((pattern) => pattern.endsWith('*')).map((pattern) => pattern.slice(0, -1));
  return (name) => names.has(name) || beginnings.some((beginning) => name.startsWith(beginning));
}
