export { calculator, calculatorTool } from "./calculator/calculator.js";
export { evaluateExpression } from "./calculator/evaluate.js";
