"""What Japanese maternal and child health says about dates and measurements: pure, from dated tables. See README.md."""
