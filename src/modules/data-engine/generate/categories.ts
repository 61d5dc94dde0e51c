/** When a category's payments happen: 24 weights, local hours from midnight. */
export const HOUR_PROFILES = {
  shop: [1, 1, 1, 1, 1, 2, 6, 16, 30, 46, 58, 62, 58, 54, 54, 58, 66, 74, 70, 48, 26, 12, 5, 2],
  meal: [6, 4, 2, 1, 1, 2, 8, 18, 20, 14, 14, 34, 66, 58, 30, 18, 18, 30, 56, 70, 62, 44, 28, 14],
  home: [16, 9, 5, 3, 2, 3, 6, 14, 22, 28, 32, 34, 36, 34, 32, 32, 34, 38, 44, 54, 64, 66, 52, 32],
  move: [14, 10, 8, 5, 5, 10, 30, 58, 60, 34, 24, 24, 28, 28, 28, 36, 50, 62, 54, 36, 28, 26, 26, 22],
} as const;
export type HourProfile = keyof typeof HOUR_PROFILES;

/** What kind of trade a merchant does, and how people pay there. */
export interface Category {
  readonly mcc: string;
  /** Share of all purchases, before a lifestyle bends it. */
  readonly weight: number;
  /** Share of its purchases that are made online by a customer of ordinary habits. */
  readonly online: number;
  /** Median amount in euro cents, where prices and income are 1. */
  readonly medianCents: number;
  /** Standard deviation of the amount's logarithm. */
  readonly sigma: number;
  readonly hours: HourProfile;
  /** Share of all merchants. */
  readonly merchants: number;
  /** Prices that end in 99, goods that are delivered, goods that thieves can sell. */
  readonly priced: boolean;
  readonly delivered: boolean;
  readonly resold: boolean;
}

const category = (
  mcc: string,
  weight: number,
  online: number,
  medianCents: number,
  sigma: number,
  hours: HourProfile,
  merchants: number,
  marks = '',
): Category => ({
  mcc,
  weight,
  online,
  medianCents,
  sigma,
  hours,
  merchants,
  priced: marks.includes('p'),
  delivered: marks.includes('d'),
  resold: marks.includes('r'),
});

/** Order is part of every world's bytes. Marks: p priced, d delivered, r resold. */
export const CATEGORIES: readonly Category[] = [
  category('5411', 0.22, 0.04, 2_400, 0.75, 'shop', 0.12),
  category('5812', 0.09, 0.1, 3_200, 0.55, 'meal', 0.16),
  category('5814', 0.12, 0.15, 1_050, 0.45, 'meal', 0.12),
  category('5541', 0.06, 0, 5_200, 0.4, 'move', 0.05),
  category('5912', 0.04, 0.1, 1_600, 0.6, 'shop', 0.06, 'p'),
  category('5651', 0.06, 0.45, 4_600, 0.65, 'shop', 0.08, 'pdr'),
  category('5732', 0.025, 0.6, 12_000, 0.95, 'shop', 0.04, 'pdr'),
  category('5311', 0.05, 0.3, 3_800, 0.7, 'shop', 0.04, 'pd'),
  category('5712', 0.012, 0.4, 14_000, 0.9, 'shop', 0.03, 'pd'),
  category('5942', 0.03, 0.75, 1_900, 0.6, 'home', 0.03, 'pd'),
  category('5944', 0.005, 0.25, 16_000, 0.9, 'shop', 0.02, 'pdr'),
  category('4121', 0.04, 0.7, 1_500, 0.5, 'move', 0.04),
  category('4111', 0.07, 0.3, 280, 0.5, 'move', 0.03),
  category('7011', 0.012, 0.6, 14_000, 0.6, 'home', 0.04),
  category('4511', 0.008, 0.95, 19_000, 0.7, 'home', 0.015),
  category('5816', 0.035, 1, 1_200, 0.7, 'home', 0.02, 'pr'),
  category('5815', 0.012, 1, 1_100, 0.35, 'home', 0.02, 'p'),
  category('4814', 0.012, 0.9, 2_500, 0.4, 'home', 0.02, 'p'),
  category('4900', 0.006, 0.9, 8_500, 0.5, 'home', 0.02),
  category('6011', 0.07, 0, 8_000, 0.5, 'shop', 0.045),
];

export const CASH_CATEGORY = CATEGORIES.findIndex(({ mcc }) => mcc === '6011');
/** Paid month by month: media, telephone, energy. */
export const SUBSCRIPTION_CATEGORIES: readonly number[] = ['5815', '4814', '4900'].map((mcc) =>
  CATEGORIES.findIndex((each) => each.mcc === mcc),
);
/** What can be turned into money again, where stolen cards are used. */
export const RESOLD_CATEGORIES: readonly number[] = CATEGORIES.flatMap(({ resold }, index) => (resold ? [index] : []));
/** Beyond the merchants' categories: payments without a merchant. */
export const TRANSFER = CATEGORIES.length;
export const TOP_UP = CATEGORIES.length + 1;
/** A customer's usual transfer in euro cents where income is 1, and the spread of its logarithm. */
export const TRANSFER_MEDIAN_CENTS = 14_000;
export const TRANSFER_SIGMA = 0.9;
