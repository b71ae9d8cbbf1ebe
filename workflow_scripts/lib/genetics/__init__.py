"""Genotype quality control, genetic components, association: builds commands for plink and reads what it wrote."""
