import { type TSchema } from '@sinclair/typebox';
import { ActorSchema } from './actor.js';
import { BasisSchema } from './basis.js';
import { CapabilityMaskSchema } from './capability-mask.js';
import { EbRefSchema } from './eb-ref.js';
import { EnvelopeSchema } from './envelope.schema.js';
import { PAYLOADS } from './events/catalogue.js';
import { GateReceiptSchema } from './gate.js';
import { MoneySchema } from './money.js';
import { ContextPinsSchema } from './pins.js';
import { PolicyRevSchema } from './policy-rev.js';
import { RefSchema } from './ref.js';

/** A schema that is published under contracts/, for others to validate with. */
export interface Contract {
  /** `gate-receipt`: with the version part of the schema's `$id` and of its file name. */
  readonly name: string;
  /** Rises when something that was valid no longer is, or the other way round; the old one stays published. */
  readonly version: number;
  readonly title: string;
  readonly schema: TSchema;
}

export const RAILS_CONTRACTS: readonly Contract[] = [
  { name: 'actor', version: 1, title: 'Actor', schema: ActorSchema },
  { name: 'basis', version: 1, title: 'Basis', schema: BasisSchema },
  { name: 'capability-mask', version: 1, title: 'Capability mask', schema: CapabilityMaskSchema },
  { name: 'context-pins', version: 1, title: 'Context pins', schema: ContextPinsSchema },
  { name: 'eb-ref', version: 1, title: 'Event bus ref', schema: EbRefSchema },
  { name: 'envelope', version: 1, title: 'Canonical envelope', schema: EnvelopeSchema },
  { name: 'gate-receipt', version: 1, title: 'Gate receipt', schema: GateReceiptSchema },
  { name: 'money', version: 1, title: 'Money', schema: MoneySchema },
  { name: 'policy-rev', version: 1, title: 'Policy revision', schema: PolicyRevSchema },
  { name: 'ref', version: 1, title: 'Ref', schema: RefSchema },
  // `payload.transaction`: what may stand in an envelope under this type; the version of the file is that of the payload.
  ...PAYLOADS.map(({ event_type, schema_version, title, schema }) => ({
    name: `payload.${event_type}`,
    version: Number(schema_version.slice(1)),
    title,
    schema,
  })),
];

/** `envelope.schema.json`, from version 2 on `envelope.v2.schema.json`, so that a published file never changes its meaning. */
export function contractFileName({ name, version }: Contract): string {
  return version === 1 ? `${name}.schema.json` : `${name}.v${version}.schema.json`;
}

/**
 * The published document: JSON Schema 2020-12, self-contained, members in the order of the source, a newline at the end.
 * JSON leaves out what the schema builder keeps under symbols.
 */
export function contractText(contract: Contract): string {
  const { description, ...rest } = contract.schema;
  const document = {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    $id: `urn:probity:schema:${contract.name}:v${contract.version}`,
    title: contract.title,
    description,
    ...rest,
  };
  return `${JSON.stringify(document, null, 2)}\n`;
}
