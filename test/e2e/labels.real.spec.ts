import { labelsSuite } from './labels.cases.js';

labelsSuite('real', ['engine', 'sr', 'ig', 'edge', 'labels', 'ofp']);
