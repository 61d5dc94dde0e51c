import type { Mapping } from './mapping.schema.js';

export interface Preset {
  readonly title: string;
  /** A whole mapping, to be sent as it is or changed first: an import names no preset, so that its identity says all. */
  readonly parameters: Mapping;
}

/** Mappings of data sets that people try a fraud platform with. */
export const PRESETS: Readonly<Record<string, Preset>> = {
  handbook: {
    title:
      'Simulated card transactions of the "Reproducible Machine Learning for Credit Card Fraud Detection" handbook',
    parameters: {
      format: 'csv',
      key: 'TRANSACTION_ID',
      time: { column: 'TX_DATETIME', format: 'yyyy-MM-dd HH:mm:ss', zone: 'UTC' },
      amount: { column: 'TX_AMOUNT', currency: 'EUR', floating: true },
      fields: {
        card_id: { column: 'CUSTOMER_ID', prefix: 'card-' },
        customer_id: 'CUSTOMER_ID',
        terminal_id: 'TERMINAL_ID',
      },
      label: {
        column: 'TX_FRAUD',
        fraud_values: ['1'],
        delay: 'P7D',
        kind_column: 'TX_FRAUD_SCENARIO',
        kind_values: { '1': 'amount_above_220', '2': 'terminal_compromised', '3': 'card_compromised' },
      },
    },
  },
  sparkov: {
    title: 'Simulated card transactions of the Sparkov generator (fraudTrain.csv, fraudTest.csv)',
    parameters: {
      format: 'csv',
      key: 'trans_num',
      time: { column: 'trans_date_trans_time', format: 'yyyy-MM-dd HH:mm:ss', zone: 'UTC' },
      amount: { column: 'amt', currency: 'USD' },
      fields: {
        card_id: { column: 'cc_num', hash: 'sha256' },
        channel: {
          column: 'category',
          values: {
            grocery_net: 'ecommerce',
            misc_net: 'ecommerce',
            shopping_net: 'ecommerce',
            grocery_pos: 'card_present',
            misc_pos: 'card_present',
            shopping_pos: 'card_present',
          },
          otherwise: 'absent',
        },
        latitude_e6: 'merch_lat',
        longitude_e6: 'merch_long',
        merchant_id: 'merchant',
      },
      label: { column: 'is_fraud', fraud_values: ['1'], delay: 'P7D' },
    },
  },
};
