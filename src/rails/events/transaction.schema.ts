import { Type } from '@sinclair/typebox';
import { type MinorUnits } from '../money.js';
import { brandedText, closed, safeInteger, type Sealed } from '../schema.js';

/** Names of things as their owners give them: short, printable, without blanks at the ends. */
const entity = (description: string) =>
  Type.Optional(Type.String({ minLength: 1, maxLength: 128, pattern: '^[!-~]([ -~]*[!-~])?$', description }));

/** Millionths of a degree, so that a place is a whole number and two readers never round it differently (law R11). */
const microDegrees = (limit: number, description: string) =>
  Type.Integer({ minimum: -limit * 1_000_000, maximum: limit * 1_000_000, description });

/** One of them at least says who pays; without any there is nobody whose behaviour could be judged. */
export const PAYERS = ['card_id', 'account_id', 'customer_id'] as const;

/**
 * `transaction` v1: a card or account payment as a fraud feature needs it. Flat, so that a rule names `amount_minor` and
 * `terminal_id` and not a path; self-sufficient, so that no other stream has to be joined to judge it. Nothing in it may be known only
 * later: no label, no session end, no count over what follows.
 */
export const TransactionSchema = closed(
  {
    transaction_id: Type.String({
      minLength: 1,
      maxLength: 128,
      pattern: '^[!-~]([ -~]*[!-~])?$',
      description: "the payment's own id, as its owner gave it",
    }),
    amount_minor: Type.Unsafe<MinorUnits>(
      Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER, description: "in the currency's minor units" }),
    ),
    currency: brandedText<string>({ pattern: '^[A-Z]{3}$', description: 'ISO 4217 code' }),
    transaction_type: Type.Optional(
      Type.Union(
        ['purchase', 'refund', 'cash_withdrawal', 'transfer', 'top_up', 'verification'].map((name) =>
          Type.Literal(name),
        ),
        { description: 'what kind of payment; a purchase unless stated is not assumed: absent is unknown' },
      ),
    ),
    channel: Type.Optional(
      Type.Union(
        ['card_present', 'ecommerce', 'mobile_app', 'moto', 'atm', 'recurring'].map((name) => Type.Literal(name)),
        { description: 'how the payer and the merchant met' },
      ),
    ),
    entry_mode: Type.Optional(
      Type.Union(
        ['chip', 'contactless', 'magstripe', 'manual', 'credential_on_file', 'three_ds'].map((name) =>
          Type.Literal(name),
        ),
        { description: 'how the card data were taken' },
      ),
    ),
    card_id: entity('the card as a token; never the card number'),
    account_id: entity('the account that pays'),
    customer_id: entity('the person or company that pays'),
    beneficiary_account_id: entity('the account that is paid, for transfers'),
    device_id: entity("the payer's device"),
    ip_address: Type.Optional(
      Type.String({
        minLength: 2,
        maxLength: 45,
        pattern: '^[0-9a-fA-F:.]+$',
        description: "the payer's address, IPv4 or IPv6",
      }),
    ),
    email_hash: entity("sha-256 or another token of the payer's address"),
    phone_hash: entity("a token of the payer's number"),
    billing_address_id: entity('a token of the billing address'),
    shipping_address_id: entity('a token of the delivery address'),
    merchant_id: entity('who is paid'),
    terminal_id: entity('the till, reader or shop page that took the payment'),
    mcc: Type.Optional(Type.String({ pattern: '^[0-9]{4}$', description: 'merchant category code of ISO 18245' })),
    country: Type.Optional(
      Type.String({ pattern: '^[A-Z]{2}$', description: 'ISO 3166-1 country of the place of payment' }),
    ),
    city: entity('the place of payment, in ASCII'),
    latitude_e6: Type.Optional(microDegrees(90, 'of the place of payment, in millionths of a degree')),
    longitude_e6: Type.Optional(microDegrees(180, 'of the place of payment, in millionths of a degree')),
    source: Type.Optional(
      closed(
        {
          output_id: Type.String({ pattern: '^[a-z][a-z0-9_]{0,63}$' }),
          row: safeInteger(0, 'number of the row within the output, from 0'),
        },
        { description: 'the row of a sealed output that this event was made of; its file follows from the run' },
      ),
    ),
  },
  {
    description: 'A card or account payment.',
    // Each names its member among `properties`, too: strict validators refuse to demand what a schema does not declare.
    anyOf: PAYERS.map((payer) => ({ required: [payer], properties: { [payer]: true } })),
  },
);

export type Transaction = Sealed<typeof TransactionSchema>;
